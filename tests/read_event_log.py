#!/usr/bin/env python3
"""Reads event logs with pm4py, a library of process mining that shares no code with Flowledger, and says what is in them.

    read_event_log.py LOG.xes LOG.json        one JSON object on standard output, compared by a test

Needs Python 3.9 and the package `pm4py`.
"""

import collections
import json
import sys
import warnings

warnings.filterwarnings("ignore")

import pm4py


def told_of_xes(path):
    frame = pm4py.read_xes(path)
    steps = collections.Counter(zip(frame["concept:name"], frame["lifecycle:transition"]))
    # What a discovery would work on: completions, in order, by case.
    complete = frame[frame["lifecycle:transition"] == "complete"]
    starts, ends = pm4py.get_start_activities(complete), pm4py.get_end_activities(complete)
    net, initial, final = pm4py.discover_petri_net_inductive(complete)
    return {
        "cases": int(frame["case:concept:name"].nunique()),
        "events": len(frame),
        "steps": {f"{name} {transition}": count for (name, transition), count in sorted(steps.items())},
        "resources": sorted(frame["org:resource"].dropna().unique()) if "org:resource" in frame else [],
        "timesInOrder": all(group["time:timestamp"].is_monotonic_increasing for _, group in frame.groupby("case:concept:name")),
        "starts": sum(starts.values()),
        "ends": sum(ends.values()),
        "transitions": len(net.transitions),
    }


def told_of_ocel(path):
    ocel = pm4py.read_ocel2_json(path)
    changes = ocel.object_changes
    return {
        "events": len(ocel.events),
        "objects": len(ocel.objects),
        "relations": len(ocel.relations),
        "relationsOfObjects": len(ocel.o2o),
        "changes": len(changes),
        "objectTypes": sorted(ocel.objects["ocel:type"].unique()),
        "activities": dict(sorted(collections.Counter(ocel.events["ocel:activity"]).items())),
        "qualifiers": sorted(ocel.relations["ocel:qualifier"].unique()),
        "graphs": len(pm4py.discover_ocdfg(ocel)["object_types"]),
    }


if __name__ == "__main__":
    json.dump({"xes": told_of_xes(sys.argv[1]), "ocel": told_of_ocel(sys.argv[2])}, sys.stdout)
