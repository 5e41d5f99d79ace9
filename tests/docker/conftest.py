import sys
from pathlib import Path

# The scripts of docker/ lie in no package.
sys.path.append(str(Path(__file__).resolve().parents[2] / "docker"))
