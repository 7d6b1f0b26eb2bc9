# Whether the line before the cursor names this path of verbs, and so many arguments after it (or more: many).
function __hub_at --argument-names path count many
    set -l here ''
    set -l seen 0
    set -l skip 0
    for word in (commandline -opc)[2..]
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*' $word
            contains -- $word $__hub_valued; and set skip 1
        else
            set -l next (string trim -- "$here $word")
            if test $seen = 0; and contains -- $next $__hub_paths
                set here $next
            else
                set seen (math $seen + 1)
            end
        end
    end
    test "$here" = "$path"; or return 1
    test -z "$count"; or test $seen = $count; or begin
        test "$many" = many; and test $seen -gt $count
    end
end

# Names that the running hub knows.
function __hub_names --argument-names kind
    set -l words (commandline -opc)
    set -l data
    if set -l at (contains -i -- --data $words)
        set data --data $words[(math $at + 1)]
    end
    $words[1] __names $kind (commandline -ct | string replace -r '^--[^=]*=' '') $data 2>/dev/null
end

