# Returns its input, for the watchdog in the mode stdio: a shell and no process beside it.
read -r input
printf '%s' "$input"
