"""The script that a user would write for this job, as a yardstick: `python user_script.py REGIONS` prints its rate.

Blur, threshold, contours, a torch ResNet-18 run eagerly on each crop, and `send_json`. Nothing here is made slow on
purpose: no gradients, the frame and the model are in memory, torch uses all cores.
"""

import json
import sys
import time

import cv2
import numpy as np
import torch
import torchvision
import zmq

from station.bench.regions import draw_strip

SECONDS = 8.0
LABELS = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")


def find_boxes(frame: np.ndarray) -> list[tuple[int, int, int, int]]:
    background = cv2.GaussianBlur(frame, (51, 51), 0)
    _, mask = cv2.threshold(cv2.absdiff(frame, background), 25, 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [box for box in map(cv2.boundingRect, contours) if box[2] * box[3] >= 40]


@torch.no_grad()
def main(regions: int) -> None:
    frames = [draw_strip(regions, seed) for seed in range(8)]
    model = torchvision.models.resnet18(weights=None, num_classes=len(LABELS)).eval()
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    socket.bind("tcp://127.0.0.1:*")
    done, found, start = 0, 0, time.monotonic()
    while time.monotonic() - start < SECONDS:
        frame = frames[done % len(frames)]
        defects = []
        for x, y, w, h in find_boxes(frame):
            crop = cv2.resize(frame[y : y + h, x : x + w], (64, 64))
            tensor = torch.from_numpy(crop).float().div(255).expand(1, 3, 64, 64)
            probabilities = torch.softmax(model(tensor), 1)[0]
            best = int(probabilities.argmax())
            defects.append({"label": LABELS[best], "confidence": float(probabilities[best]), "box": [x, y, w, h]})
        socket.send_json({"frame": done, "time": time.time(), "defects": defects})
        found += len(defects)
        done += 1
    seconds = time.monotonic() - start
    socket.close()
    context.term()
    print(json.dumps({"fps": round(done / seconds, 2), "regions_a_frame": round(found / max(done, 1), 1)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
