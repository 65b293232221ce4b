# Cora for fish: `cora shell fish | source` in ~/.config/fish/config.fish. Completions, and the function cora_prompt;
# nothing else of the shell is changed. With --prompt the segment stands on the right, with --phrases `save our
# progress` is understood.
set -g __cora_program @PROGRAM@
set -g __cora_state @STATE@
# What there is to complete: kind, command and the rest, parted by tabs.
set -g __cora_rows @ROWS@

# Sets __cora_root and __cora_file for the project around the current directory; no process is started.
function __cora_find_status
    set -g __cora_file
    set -g __cora_root $PWD
    while test "$__cora_root" != / -a -n "$__cora_root"
        test -e "$__cora_root/cora.toml" -o -e "$__cora_root/.git"; and break
        set __cora_root (string replace -r '/[^/]*$' '' -- $__cora_root)
    end
    test -n "$__cora_root" -a "$__cora_root" != /; or set __cora_root $PWD
    set __cora_root (path resolve -- $__cora_root)
    if set -q CORA_VAULT[1]; and test -n "$CORA_VAULT"
        test -f "$CORA_VAULT/.cache/prompt" -a -r "$CORA_VAULT/.cache/prompt"; and set __cora_file "$CORA_VAULT/.cache/prompt"
    else
        set -l file $__cora_state/prompt/(string replace -a / % -- $__cora_root)
        test -f "$file" -a -r "$file"; and set __cora_file $file
    end
end

# Reads the status; false where there is none of this project.
function __cora_read_status
    set -g __cora_vault
    set -g __cora_saved 0
    set -g __cora_late 0
    set -g __cora_failed
    set -g __cora_warn
    __cora_find_status
    test -n "$__cora_file"; or return 1
    set -l lines
    while read -l line
        set -a lines $line
    end <$__cora_file 2>/dev/null
    test "$lines[1]" = 'cora-prompt 1'; or return 1
    contains -- "root $__cora_root" $lines; or return 1
    for line in $lines
        set -l part (string split -m 1 ' ' -- $line)
        switch $part[1]
            case vault
                set __cora_vault $part[2]
            case saved
                set __cora_saved $part[2]
            case late
                set __cora_late $part[2]
            case failed
                set __cora_failed (string split -n ' ' -- $part[2])
            case warn
                set __cora_warn (string split -n ' ' -- $part[2])
        end
    end
    string match -qr '^(0|[1-9]\d{0,11})$' -- "$__cora_saved"; and string match -qr '^(0|[1-9]\d{0,11})$' -- "$__cora_late"
end

# Sets __cora_text and __cora_level.
function __cora_segment
    set -g __cora_text
    set -g __cora_level yellow
    if not __cora_read_status
        if test -n "$CORA_VAULT" -a -z "$__cora_file" -a -e "$__cora_root/cora.toml" -a ! -e "$CORA_VAULT/VAULT.json"
            set __cora_text 'vault?'
        end
        return 0
    end
    for each in save lost verify backup ship drill
        contains -- $each $__cora_failed; or continue
        test $each = verify; and set each damage
        set -a __cora_text $each!
    end
    if test -z "$__cora_text"; and contains -- health $__cora_failed
        set __cora_text health!
    end
    test -n "$__cora_text"; and set __cora_level red
    if test $__cora_saved -gt 0; and not contains -- save $__cora_failed
        # The clock by builtins alone: when the file was written, and how long ago that is.
        set -l age (math (path mtime -- $__cora_file) + (path mtime -R -- $__cora_file) - $__cora_saved)
        if test $age -gt $__cora_late
            if test $age -lt 7200
                set age (math -s0 $age / 60)m
            else if test $age -lt 172800
                set age (math -s0 $age / 3600)h
            else
                set age (math -s0 $age / 86400)d
            end
            set -a __cora_text "save $age"
        end
    end
    if contains -- drill $__cora_warn; and not contains -- drill! $__cora_text
        set -a __cora_text drill
    end
    contains -- space $__cora_warn; and set -a __cora_text disk
    return 0
end

# Prints what needs attention; nothing when all is well.
function cora_prompt --description 'What Cora wants you to see'
    __cora_segment
    test -n "$__cora_text"; and echo -n (string join ' ' -- $__cora_text)
    return 0
end

# Prints the newest snapshots, newest first. A look at the vault's directories alone.
function __cora_list_ids
    set -l saves $__cora_vault/progress/*/*/*/*-*
    set -l found (string replace -rf '^.*/progress/(\d+)/(\d+)/(\d+)/(\d+-[0-9A-Za-z_.-]*)$' '$1$2$3-$4' -- $saves)
    set -l backups $__cora_vault/*-*-*
    set -a found (string match -rg '^.*/(\d{8}-\d{6}-[0-9A-Za-z_.-]*)$' -- $backups)
    printf '%s\n' $found | sort -ru | head -n 40
end

function __cora_value_of
    set -l rows (string match -r -- "^f\t(?:\Q$argv[1]\E|\*)\t\Q$argv[2]\E\t.*" $__cora_rows)
    test (count $rows) -gt 0; or return 1
    set -l value (string split \t -- $rows[1])[4]
    test $value = -; or echo $value
    return 0
end

function __cora_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l cur (string unescape -- $current 2>/dev/null; or string replace -ra '[\\\\"\']' '' -- $current)
    set -l command
    set -l group
    set -l vault
    set -l id
    set -l args 0
    set -l skip no
    for i in (seq 2 (count $words))
        set -l word $words[$i]
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
            case --vault
                set vault $words[(math $i + 1)]
                set skip yes
                continue
            case '--vault=*'
                set vault (string replace -- --vault= '' $word)
                continue
            case --
                break
            case '-*=*'
                continue
            case '-*'
                test -n "$(__cora_value_of "$command" $word)"; and set skip yes
                continue
        end
        if test -z "$command" -a -z "$group"
            string match -q -- "c"\t"$word"\t'*' $__cora_rows; and set command $word
            string match -q -- "g"\t"$word"\t'*' $__cora_rows; and set group $word
            test -n "$command$group"; or return
        else if test -z "$command"
            set command "$group $word"
        else
            set args (math $args + 1)
            test $args -eq 1; and set id $word
        end
    end

    set -l value
    set -l head
    if string match -qr -- '^-[^=]*$' "$words[-1]"
        set value (__cora_value_of "$command" $words[-1])
    else if string match -q -- '--*=*' $cur
        set head (string replace -r '=.*' '=' -- $cur)
        set value (__cora_value_of "$command" (string replace = '' -- $head))
    end
    if test -n "$value"
        switch $value
            case path
                for each in (__fish_complete_path (string replace -- "$head" '' $cur))
                    echo "$head$each"
                end
            case 'choice:*'
                for each in (string split ' ' -- (string replace choice: '' -- $value))
                    echo "$head$each"
                end
        end
        return
    end

    if string match -q -- '-*' $cur
        string replace -rf -- "^f\t(?:\Q$command\E|\*)\t([^\t]*)\t[^\t]*\t(.*)" '$1\t$2' $__cora_rows
        return
    end
    if test -z "$command"
        if test -n "$group"
            string replace -rf -- "^w\t\Q$group\E\t([^\t]*)\t(.*)" '$1\t$2' $__cora_rows
        else
            string replace -rf -- '^[cg]\t([^\t]*)\t(.*)' '$1\t$2' $__cora_rows
        end
        return
    end

    set -l kinds (string split ' ' -- (string replace -rf -- "^a\t\Q$command\E\t(.*)" '$1' $__cora_rows))
    test -n "$kinds"; or return
    set -l kind $kinds[-1]
    test $args -lt (count $kinds); and set kind $kinds[(math $args + 1)]
    switch $kind
        case id path
            if test -n "$vault"
                set -g __cora_vault $vault
            else
                set -l here $CORA_VAULT
                __cora_read_status
                test -n "$here"; and set __cora_vault $here
            end
            set -l found
            if test -n "$__cora_vault"
                if test $kind = id; and string match -q -- '*:*' $cur
                    set -l parts (string split -m 1 : -- $cur)
                    set found $parts[1]:(__cora_paths $parts[1] $parts[2] $vault)
                else if test $kind = id
                    echo latest
                    set found (__cora_list_ids)
                else if test -n "$id" -a $kinds[1] = id; and not string match -q -- '*:*' $id
                    set found (__cora_paths $id $cur $vault)
                end
            end
            printf '%s\n' $found
            string match -q -- '*'$cur'*' $found; or __fish_complete_path $cur
        case 'choice:*'
            string split , -- (string replace choice: '' -- $kind)
        case command
            string replace -rf -- '^[cg]\t([^\t]*)\t(.*)' '$1\t$2' $__cora_rows
    end
end

# Paths of a snapshot, one directory deep. Cora itself is asked: listings are compressed.
function __cora_paths
    set -l at
    test -n "$argv[3]"; and set at --vault=$argv[3]
    $__cora_program shell paths $at -- $argv[1] $argv[2] 2>/dev/null
end

complete -c cora -f -k -a '(__cora_complete)'
@IF_PROMPT@
# On the right: the segment, then what stood there before.
if status is-interactive
    if functions -q fish_right_prompt; and not functions -q __cora_right_prompt
        functions -c fish_right_prompt __cora_right_prompt
    end
    function fish_right_prompt
        __cora_segment
        if test -n "$__cora_text"
            set -l plain no
            test -n "$NO_COLOR" -o "$TERM" = dumb; and set plain yes
            test $plain = no; and set_color $__cora_level
            echo -n (string join ' ' -- $__cora_text)
            test $plain = no; and set_color normal
        end
        if functions -q __cora_right_prompt
            test -n "$__cora_text"; and echo -n ' '
            __cora_right_prompt
        end
    end
end
@END@
@IF_PHRASES@
# fish's own handler ends with 127 whatever it did, so these words are functions, where no program has the name.
if status is-interactive
    function __cora_phrase
        set -l phrase
        for word in $argv
            string match -qr '\s' -- $word; and set word "\"$word\""
            set -a phrase $word
        end
        # Typed at the prompt: not in a pipe, and three lines of calls: this function, where it is called, and the word's
        # own. (Not in parentheses: they would be a line too.)
        status stack-trace | read -lz calls
        if test (count $argv) -ge 2; and isatty stdin; and isatty stdout; and test (string split -n \n -- $calls | count) -eq 3
            set -l answer "$($__cora_program say --explain --json -- "$phrase" </dev/null 2>/dev/null)"
            if string match -q '*"needsConfirmation":false*' -- $answer; and string match -qr '"intent":"(save|backup|end)"' -- $answer
                $__cora_program say -- "$phrase"
                return
            end
        end
        echo "fish: Unknown command: $argv[1]" >&2
        return 127
    end
    for word in save backup snapshot checkpoint
        type -q $word; or eval "function $word; __cora_phrase $word \$argv; end"
    end
end
@END@
