"""Writes tests/golden/events.h: an event file as TensorBoard's own protobuf classes and record
writer make it; with a file name, reads that event file back with TensorBoard's loader instead.

    python3 tests/oracle/events.py > tests/golden/events.h
    python3 tests/oracle/events.py RUN/events.out.tfevents.mammograd

Development only; needs the package tensorboard."""
import io
import sys


def golden():
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    stream = io.BytesIO()
    writer = RecordWriter(stream)
    writer.write(event_pb2.Event(wall_time=1.5e9, file_version="brain.Event:2").SerializeToString())
    for tag, step, value, time in [("loss/train", 1, 0.693147, 1.5e9 + 1),
                                   ("loss/train", 300, -2.5, 1.5e9 + 2.25),
                                   ("lr", 70000, 1e-6, 1.5e9 + 3)]:
        scalar = summary_pb2.Summary.Value(tag=tag, simple_value=value)
        event = event_pb2.Event(wall_time=time, step=step,
                                summary=summary_pb2.Summary(value=[scalar]))
        writer.write(event.SerializeToString())
    data = stream.getvalue()
    print("/* Made by tests/oracle/events.py with TensorBoard's classes; do not edit. */")
    print("static const uint8_t golden_events[] = {")
    for i in range(0, len(data), 16):
        print("    " + " ".join(f"0x{b:02x}," for b in data[i:i + 16]))
    print("};")


def read_back(path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    for event in EventFileLoader(path).Load():
        for value in event.summary.value:
            number = value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
            print(event.wall_time, event.step, value.tag, number)
        if event.file_version:
            print(event.wall_time, event.file_version)


if __name__ == "__main__":
    read_back(sys.argv[1]) if len(sys.argv) > 1 else golden()
