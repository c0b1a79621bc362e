/* SPDX-License-Identifier: MIT */
#pragma once
/* The scenes, a table for each theme, ended by one without a name. */

#include "lib/step.h"

extern const struct step_scene lane_scenes[], event_scenes[], fate_scenes[], room_scenes[],
        guest_scenes[];
