# OBJECTS: object files, separated by |. None may define a weak symbol: an inline function or template instance of another
# header, compiled for an instruction set that not every machine has.
string(REPLACE "|" ";" objects "${OBJECTS}")
if(NOT objects)
  message(FATAL_ERROR "no object files to check")
endif()
foreach(object ${objects})
  execute_process(COMMAND ${NM} --demangle --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" weak "${symbols}")
  if(weak)
    message(FATAL_ERROR "${object} defines shared inline code for its instruction set:\n${weak}\n"
      "Write it out in an unnamed namespace, or use a compiler builtin.")
  endif()
  string(REGEX MATCHALL "[^\n]* T [^\n]*" public "${symbols}")
  list(LENGTH public count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "${object} should define its table and nothing else:\n${public}")
  endif()
endforeach()
