/* SPDX-License-Identifier: MIT */
/*
 *   interleave                    walks through all scenes
 *   interleave SCENE…             through these
 *   interleave -r SCENE SCHEDULE  one run of it, as a failure printed it ("-": the first)
 *   interleave -l                 their names
 *   interleave -s SCENE…          and then the names of the steps that were taken
 */
#include <stdio.h>
#include <string.h>

#include "interleave/scenes.h"

static const struct step_scene *const themes[] = {
        lane_scenes, event_scenes, fate_scenes, room_scenes, guest_scenes,
};

#define N_THEMES (sizeof(themes) / sizeof(themes[0]))

static const struct step_scene *find(const char *name)
{
        for (size_t i = 0; i < N_THEMES; i++)
                for (const struct step_scene *scene = themes[i]; scene->name; scene++)
                        if (strcmp(scene->name, name) == 0)
                                return scene;
        return NULL;
}

static void walk(const struct step_scene *scene)
{
        struct step_walk walked = step_explore(scene);

        printf("ok: %s: %llu schedules with at most %u preemptions, up to %u steps\n", scene->name,
               (unsigned long long)walked.schedules, scene->preemptions, walked.longest);
        (void)fflush(stdout);
}

/* Each scene, to `fn`. */
static void for_all(void (*fn)(const struct step_scene *))
{
        for (size_t i = 0; i < N_THEMES; i++)
                for (const struct step_scene *scene = themes[i]; scene->name; scene++)
                        fn(scene);
}

static void print_name(const struct step_scene *scene)
{
        (void)puts(scene->name);
}

static int walk_these(char **names)
{
        for (; *names; names++) {
                const struct step_scene *scene = find(*names);

                if (!scene) {
                        (void)fprintf(stderr, "no scene %s\n", *names);
                        return 2;
                }
                walk(scene);
        }
        return 0;
}

int main(int argc, char **argv)
{
        int r = 0;

        if (argc == 4 && strcmp(argv[1], "-r") == 0) {
                const struct step_scene *scene = find(argv[2]);

                if (!scene)
                        return 2;
                step_replay(scene, argv[3]);
        } else if (argc == 2 && strcmp(argv[1], "-l") == 0) {
                for_all(print_name);
        } else if (argc > 1 && strcmp(argv[1], "-s") == 0) {
                if (argc > 2)
                        r = walk_these(argv + 2);
                else
                        for_all(walk);
                for (const char *const *name = step_names(); *name; name++)
                        printf("step: %s\n", *name);
        } else if (argc > 1) {
                r = walk_these(argv + 1);
        } else {
                for_all(walk);
        }
        return r;
}
