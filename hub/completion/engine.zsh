# Completes a line that begins with hub, by the data that _hub_data sets for a path of verbs.
_hub() {
  local verbs='' data='' option='' kind='' current=$words[CURRENT] word
  local -i at=1 i
  local -a subs opts args found
  local -A kinds
  _hub_data ''
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    if [[ -n $option ]]; then
      [[ $option == --data ]] && data=$word
      option=''
    elif [[ $word == --data=* ]]; then
      data=${word#--data=}
    elif [[ $word == -* ]]; then
      [[ -n ${kinds[$word]} ]] && option=$word
    elif [[ -n ${subs[(r)$word:*]} ]]; then
      verbs="${verbs:+$verbs }$word"
      _hub_data "$verbs"
    else
      ((at++))
    fi
  done
  if [[ -z $option && $current == --*=* ]]; then
    option=${current%%=*}
    current=${current#*=}
    compset -P '*='
  fi
  if [[ -n $option ]]; then
    kind=${kinds[$option]}
  elif [[ $current == -* ]]; then
    _describe option opts
    return
  elif (($#subs)); then
    _describe verb subs
    return
  else
    ((at > $#args)) && [[ ${args[-1]} == *'*' ]] && at=$#args
    kind=${args[at]%'*'}
  fi
  case $kind in
    dir) _files -/ ;;
    file) _files ;;
    choices:*) compadd -- ${(s:|:)kind#choices:} ;;
    devices | commands | streams)
      found=(${(f)"$($words[1] __names $kind "$current" ${data:+--data} $data 2>/dev/null)"})
      compadd -- $found ;;
  esac
}
# In a folder of fpath this file is the body of _hub; sourced, it has to announce it.
if [[ ${funcstack[1]} == _hub ]]; then _hub "$@"; else compdef _hub hub; fi
