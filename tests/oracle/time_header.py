#!/usr/bin/env python3
"""Times pydicom on what bench/bench_dicom_header.c times: open, header without pixels, ten attributes.

    python3 tests/oracle/time_header.py FOLDER [SCANS]"""
import glob
import os
import statistics
import sys
import time
import warnings

import pydicom

warnings.simplefilter('ignore')
names = ('PatientID', 'ImageLaterality', 'ViewPosition', 'SOPInstanceUID', 'StudyInstanceUID', 'Rows',
         'Columns', 'BitsStored', 'WindowCenter', 'WindowWidth')
files = sorted(glob.glob(os.path.join(sys.argv[1], '*.dcm')))
seconds = []
for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else 2000):
    start = time.perf_counter()
    data = pydicom.dcmread(files[i % len(files)], stop_before_pixels=True, force=True)
    for name in names:
        getattr(data, name, None)
    seconds.append(time.perf_counter() - start)
print('pydicom %s: median %.1f us of %d scans of %d file(s)'
      % (pydicom.__version__, statistics.median(seconds[100:]) * 1e6, len(seconds), len(files)))
