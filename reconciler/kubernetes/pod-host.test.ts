import { expect, test } from "bun:test";
import { PodHosts } from "./pod-index.ts";
import { readPod } from "./read-pod.ts";

type More = { kind?: string; phase?: string };

const pod = (uid: string, node: string, ips: string[], more: More = {}) => {
  const { kind = "DaemonSet", phase = "Running" } = more;
  const owner = { apiVersion: "apps/v1", kind, name: "agent", uid: "o", controller: true };
  const names = { namespace: "navarch", name: uid, uid, resourceVersion: "1" };
  const read = readPod({
    metadata: { ...names, ownerReferences: [owner] },
    spec: { nodeName: node },
    status: { phase, podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
  });
  if (read === null) throw new Error("a pod was made");
  return read;
};
const seen = (hosts: PodHosts) => [...hosts.byAddress()].map((pair) => pair.join(" on ")).sort();

test("PodHosts knows both addresses of a dual-stack pod, until it ends", () => {
  const hosts = new PodHosts();
  const running = pod("a", "n1", ["10.244.1.7", "fd00:10:244:1::7"]);
  expect(hosts.note(null, running)).toBe(true);
  expect(seen(hosts)).toEqual(["10.244.1.7 on n1", "fd00:10:244:1::7 on n1"]);
  expect(hosts.note(running, pod("a", "n1", ["10.244.1.7", "fd00:10:244:1::7"]))).toBe(false);
  expect(hosts.note(running, pod("a", "n1", [...running.ips], { phase: "Failed" }))).toBe(true);
  expect(seen(hosts)).toEqual([]);
});

test("PodHosts counts a DaemonSet's pods alone, and no address that two Nodes share", () => {
  const hosts = new PodHosts();
  hosts.note(null, pod("job", "n1", ["10.244.1.8"], { kind: "Job" }));
  hosts.note(null, pod("a", "n1", ["10.0.0.9"]));
  hosts.note(null, pod("b", "n1", ["10.0.0.9"]));
  expect(seen(hosts)).toEqual(["10.0.0.9 on n1"]);
  hosts.note(null, pod("c", "n2", ["10.0.0.9"]));
  expect(seen(hosts)).toEqual([]);
});
