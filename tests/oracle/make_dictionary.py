#!/usr/bin/env python3
"""Writes dicom/dictionary.def and dicom/uids.def from the rows of PS3.6 that pydicom carries.

    python3 tests/oracle/make_dictionary.py

Development time only; the two tables are committed."""
import os
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary

root = os.path.join(os.path.dirname(__file__), '..', '..', 'dicom')


def quoted(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


rows = {}
for tag, (vr, vm, name, retired, keyword) in DicomDictionary.items():
    if not keyword or vr == 'NONE':
        continue
    rows[tag] = (vr, keyword, name)
for mask, (vr, vm, name, retired, keyword) in RepeatersDictionary.items():
    if keyword:
        rows.setdefault(int(mask.replace('x', '0'), 16), (vr, keyword, name))

with open(os.path.join(root, 'dictionary.def'), 'w', encoding='utf-8') as out:
    out.write('/* Data elements of PS3.6: tag, VR, keyword, name. Ascending. Repeating groups stand '
              'at their first.\n * Made by tests/oracle/make_dictionary.py. */\n')
    for tag in sorted(rows):
        vr, keyword, name = rows[tag]
        name = name.replace('\u2019', "'").replace('\u2013', '-').replace('\xa0', ' ')
        out.write('ROW(0x%08X, %s, %s, %s)\n' % (tag, quoted(vr), quoted(keyword), quoted(name)))

with open(os.path.join(root, 'uids.def'), 'w', encoding='utf-8') as out:
    out.write('/* Transfer syntaxes and SOP classes of PS3.6 annex A. Ascending by text.\n'
              ' * Made by tests/oracle/make_dictionary.py. */\n')
    for uid in sorted(UID_dictionary):
        name, kind, info, retired, keyword = UID_dictionary[uid]
        if kind in ('Transfer Syntax', 'SOP Class'):
            name = name.replace('\u2019', "'").replace('\u2013', '-').replace('\xa0', ' ')
            out.write('UID(%s, %s)\n' % (quoted(uid), quoted(name.split(' (')[0]
                                                             if len(name) > 60 else name)))
