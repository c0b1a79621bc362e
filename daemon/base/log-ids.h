/* SPDX-License-Identifier: MIT */
#pragma once
/* What MESSAGE_ID says of a record: one number for each kind of event that somebody may want to
 * find, for as long as the product exists.  Drawn by chance (uuidgen); never reused. */

/* the daemon serves */
#define LOG_ID_READY "ee9302c194b149b0a68a95e6a1b56400"
/* it was asked to stop */
#define LOG_ID_STOPPING "b7302dc453784e26bfe58ea39e9a0c56"
/* settings were read again, or could not be */
#define LOG_ID_RELOAD "e4d8432114ec46578b75de010f38d04f"
/* the VM has changed its state */
#define LOG_ID_STATE "193043eea46d41dca43e0af12073b3ea"
/* a call that changes state was accepted */
#define LOG_ID_CALL "7504c2b20f314957bc548c1b8e47eb59"
/* somebody asked for what the policy does not let him */
#define LOG_ID_DENIED "f458f016e24c483ba623676741b57997"
/* a call was cancelled by somebody else than its caller */
#define LOG_ID_CANCEL "2217cba561db4c20a9aca38434fdef91"
/* a module was loaded or unloaded, or could not be */
#define LOG_ID_MODULE "9e29853866e84a4d9c0615198f7aec6f"
/* an EMT has run a request for longer than its limit, or is through with it */
#define LOG_ID_STUCK "8a2a0863cfc240d283d13dcf3d031b3e"
/* a request still ran when the daemon left */
#define LOG_ID_LEFT "2308ec9b8c2f41e4a689c4c62d604bcc"
/* records of the log were lost */
#define LOG_ID_LOST "e8933080698e4b94aaa5a883e810d63b"
/* something is wrong in the daemon or in a module */
#define LOG_ID_FAULT "26f87ac68b3b4caab095c5b6c6db9bfd"
