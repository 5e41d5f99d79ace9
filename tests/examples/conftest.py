import sys
from pathlib import Path

# running.py, the helper of these tests, lies beside them.
sys.path.append(str(Path(__file__).resolve().parent))
