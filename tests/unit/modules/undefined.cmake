# SPDX-License-Identifier: MIT
# cmake -DNM=… -DFILE=… -P undefined.cmake: FILE needs nothing of ours to be resolved.
execute_process(COMMAND ${NM} -D --undefined-only ${FILE} OUTPUT_VARIABLE names RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${NM} failed on ${FILE}")
endif()
if(names MATCHES "[ ](vmreq|sym|vm|mod|proto|rpc)_[a-z_]+")
  message(FATAL_ERROR "${FILE} has undefined names of ours:\n${names}")
endif()
