/* SPDX-License-Identifier: MIT */
#pragma once
/* The scenes, a table for each theme, ended by one without a name. */

#include "lib/step.h"

extern const struct step_scene lane_scenes[], event_scenes[], fate_scenes[], room_scenes[],
        guest_scenes[];

/* For scenes of more than lanes: what a push, a take or a look does on its way to the step that
 * counts is walked through by the lanes' own scenes. */
extern const char *const scene_inside_lanes[];
