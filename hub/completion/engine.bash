# Completes a line that begins with hub, by the data that _hub_data sets for a path of verbs.
_hub() {
  local line=${COMP_LINE:0:COMP_POINT} path='' data='' option='' kind='' list='' at=0 i word current typed
  local words kinds subs opts args
  # Split at spaces only: bash would also split at : and =, which device ids and options hold.
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=${words[${#words[@]} - 1]}
  typed=$current
  _hub_data ''
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    word=${words[i]}
    if [[ -n $option ]]; then
      [[ $option == --data ]] && data=$word
      option=''
    elif [[ $word == --data=* ]]; then
      data=${word#--data=}
    elif [[ $word == -* ]]; then
      [[ " $opts" == *" $word="* ]] && option=$word
    elif [[ " $subs " == *" $word "* ]]; then
      path="${path:+$path }$word"
      _hub_data "$path"
    else
      at=$((at + 1))
    fi
  done
  if [[ -z $option && $current == --*=* ]]; then
    option=${current%%=*}
    current=${current#*=}
  fi
  COMPREPLY=()
  if [[ -n $option ]]; then
    [[ " $opts" == *" $option="* ]] || return
    kind=" $opts"
    kind=${kind#*" $option="}
    kind=${kind%% *}
  elif [[ $current == -* ]]; then
    for word in $opts; do list+=" ${word%%=*}"; done
  elif [[ -n $subs ]]; then
    list=$subs
  else
    read -ra kinds <<<"$args"
    if ((at >= ${#kinds[@]})); then
      # Only an argument that may be many goes on.
      [[ $args == *'*' ]] || return
      at=$((${#kinds[@]} - 1))
    fi
    kind=${kinds[at]}
  fi
  case ${kind%'*'} in
    dir | file)
      local IFS=$'\n' what=-f
      [[ $kind == dir* ]] && what=-d
      compopt -o filenames 2>/dev/null
      COMPREPLY=($(compgen $what -- "$current"))
      return ;;
    choices:*) list=${kind#choices:} list=${list//|/ } ;;
    devices | commands | streams)
      list=$("${words[0]}" __names "${kind%'*'}" "$current" ${data:+--data "$data"} 2>/dev/null) ;;
  esac
  COMPREPLY=($(compgen -W "$list" -- "$current"))
  # Bash replaces only what follows the last : or =, so what is before it must not come again.
  typed=${typed%"${typed##*[:=]}"}
  [[ $option ]] && typed=${typed#"$option="}
  for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$typed"}; done
}
complete -F _hub hub
