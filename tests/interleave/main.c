/* SPDX-License-Identifier: MIT */
/*
 *   interleavings                    walks through all scenes
 *   interleavings NAME…              through those whose name begins so
 *   interleavings -s FILE NAME…      and writes the names of the steps that were taken there
 *   interleavings -r SCENE SCHEDULE  one run, as a failure printed it ("-": the first one)
 *   interleavings -l                 the names of the scenes
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "interleave/scenes.h"

static const struct step_scene *const themes[] = {
        lane_scenes, event_scenes, fate_scenes, room_scenes, guest_scenes,
};

#define N_THEMES (sizeof(themes) / sizeof(themes[0]))

static bool begins_with(const char *name, const char *begin)
{
        return strncmp(name, begin, strlen(begin)) == 0;
}

static void walk(const struct step_scene *scene)
{
        struct step_walk walked = step_explore(scene);

        (void)printf("ok: %s: %llu schedules with at most %u preemptions, up to %u steps\n",
                     scene->name, (unsigned long long)walked.schedules, scene->preemptions,
                     walked.longest);
        (void)fflush(stdout);
}

/* Each scene whose name begins so, to `fn`; how many. */
static unsigned for_each(const char *begin, void (*fn)(const struct step_scene *))
{
        unsigned n = 0;

        for (size_t i = 0; i < N_THEMES; i++)
                for (const struct step_scene *scene = themes[i]; scene->name; scene++)
                        if (begins_with(scene->name, begin)) {
                                fn(scene);
                                n++;
                        }
        return n;
}

static void print_name(const struct step_scene *scene)
{
        (void)puts(scene->name);
}

static const char *scene_name, *schedule;

static void replay(const struct step_scene *scene)
{
        if (strcmp(scene->name, scene_name) == 0)
                step_replay(scene, schedule);
}

static int walk_these(char **names)
{
        if (!*names)
                (void)for_each("", walk);
        for (; *names; names++)
                if (for_each(*names, walk) == 0) {
                        (void)fprintf(stderr, "no scene %s\n", *names);
                        return 2;
                }
        return 0;
}

static int write_steps(const char *path)
{
        FILE *file = fopen(path, "w");

        if (!file) {
                perror(path);
                return 2;
        }
        for (const char *const *name = step_names(); *name; name++)
                (void)fprintf(file, "%s\n", *name);
        return fclose(file) == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
        const char *option = argc > 1 ? argv[1] : "";
        int r;

        if (strcmp(option, "-l") == 0)
                return for_each("", print_name) == 0;
        if (strcmp(option, "-r") == 0) {
                if (argc != 4)
                        return 2;
                scene_name = argv[2];
                schedule = argv[3];
                return for_each(scene_name, replay) == 0;
        }
        if (strcmp(option, "-s") != 0)
                return walk_these(argv + 1);
        if (argc < 3)
                return 2;
        r = walk_these(argv + 3);
        return r ? r : write_steps(argv[2]);
}
