# Sourced by the scripts: finds a Python, makes .venv, installs what pyproject.toml declares.
# Afterwards $ROOT is the repository and $PY the interpreter of its .venv.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PY=$ROOT/.venv/bin/python
# An unpinned torch can bring gigabytes that nothing here uses.
TORCH=torch==2.13.0

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "error: ecomkit needs Python 3.11 or newer with its venv module, and none was found." >&2
    echo "Install one (python3.11 and python3.11-venv on Debian and Ubuntu) or name it:" >&2
    echo "  PYTHON=/path/to/python3.11 $0" >&2
    return 1
}

# ensure_env EXTRA...: the virtual environment, with the package and the named extras in it.
ensure_env() {
    local python extra key want= stamp=$ROOT/.venv/.ecomkit-installed
    if ! "$PY" -c '' >/dev/null 2>&1; then
        python=$(find_python)
        echo "making $ROOT/.venv with $("$python" --version)" >&2
        "$python" -m venv --clear "$ROOT/.venv"
    fi
    # What is installed depends on pyproject.toml, on the interpreter, and on where the checkout is.
    key=$({ cat "$ROOT/pyproject.toml"; "$PY" --version; echo "$ROOT $TORCH"; } | "$PY" -c \
        'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
    for extra in "$@"; do
        grep -qsx "$key $extra" "$stamp" || want=$want,$extra
    done
    [ -n "$want" ] || return 0
    echo "installing ecomkit[${want#,}] into $ROOT/.venv (minutes the first time)" >&2
    local quiet="--quiet --quiet"
    if [ -t 2 ]; then quiet=; fi
    case $want in
        *search*) "$PY" -m pip install $quiet "$TORCH" >&2 ;;
    esac
    "$PY" -m pip install $quiet --constraint <(echo "$TORCH") \
        --editable "$ROOT[${want#,}]" >&2
    if ! grep -qs "^$key " "$stamp"; then
        : >"$stamp"
    fi
    for extra in ${want//,/ }; do
        echo "$key $extra" >>"$stamp"
    done
}
