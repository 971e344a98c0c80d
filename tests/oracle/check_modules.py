#!/usr/bin/env python3
"""Checks that DICOM files have the type 1 and type 2 attributes of their mandatory modules, by the
tables that highdicom carries. Content of SR documents is left out: there the tables list what each
value type needs as if every item needed all of it; dsrdump and highdicom.sr.srread check that.

    python3 tests/oracle/check_modules.py FILE..."""
import json
import os
import sys

import highdicom
import pydicom

folder = os.path.join(os.path.dirname(highdicom.__file__), '_standard')


def table(name):
    with open(os.path.join(folder, name), encoding='utf-8') as file:
        return json.load(file)


iods, classes = table('iod_module_map.json'), table('sop_class_iod_map.json')
attributes = table('module_attribute_map.json')
bad = 0
for path in sys.argv[1:]:
    data = pydicom.dcmread(path)
    for module in iods[classes[data.SOPClassUID]]:
        if module['usage'] != 'M' or module['key'] == 'sr-document-content':
            continue
        for attribute in attributes[module['key']]:
            places = [data]
            for step in attribute['path']:
                places = [item for place in places if step in place
                          for item in place[step].value or []]
            for place in places:
                keyword, kind = attribute['keyword'], attribute['type']
                missing = kind in ('1', '2') and keyword not in place
                empty = kind == '1' and keyword in place and place[keyword].VM == 0
                if missing or empty:
                    bad += 1
                    print(path, module['key'], *attribute['path'], keyword,
                          'missing' if missing else 'empty')
    print(path, 'checked as', classes[data.SOPClassUID])
sys.exit(1 if bad else 0)
