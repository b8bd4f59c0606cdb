/** Logs of containers in the console, by a kubelet's port that KWOK serves: A7. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync } from "node:fs";
import type { AuditRecord } from "../../../schema/audit.ts";
import type { PodLog } from "../../../schema/console/cluster.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { ConsoleBed } from "./kube-bed.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: logs in the console: ${missing}`);

test("a Kubernetes API server is here to read logs from", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

/** What a container may write, to whoever reads its log. */
const HOSTILE = "\u001b[2J\u0007<script>alert(1)</script>\u202e";

const lineOf = (i: number): string =>
  `2026-11-23T00:00:00.${String(i).padStart(9, "0")}Z stdout F line ${i}\n`;

describe.skipIf(missing !== null)("logs in the console", () => {
  let bed: ConsoleBed;
  let file = "";
  beforeAll(async () => {
    await buildStale();
    bed = await ConsoleBed.open();
    const lines = Array.from({ length: 1_999 }, (_, i) => lineOf(i + 1)).join("");
    file = bed.write("c2.log", `${lines}2026-11-23T00:00:01Z stdout F ${HOSTILE}\n`);
    const other = bed.write("c1.log", lineOf(1));
    const before = bed.write("c1-previous.log", `2026-11-22T00:00:00Z stdout F it crashed\n`);
    await bed.addKubelet("kubelet-0");
    for (const namespace of ["kai-ml", "kai-ml-two"]) {
      await bed.kubectl("create", "namespace", namespace);
    }
    await bed.addPod({ namespace: "kai-ml", name: "p1" }, ["c1", "c2"]);
    await bed.addPod({ namespace: "kai-ml", name: "twin-1" }, ["main"]);
    await bed.addPod({ namespace: "kai-ml-two", name: "twin-1" }, ["main"]);
    await bed.apply({
      apiVersion: "kwok.x-k8s.io/v1alpha1",
      kind: "Logs",
      metadata: { name: "p1", namespace: "kai-ml" },
      spec: {
        logs: [
          { containers: ["c2"], logsFile: file, follow: true },
          { containers: ["c1"], logsFile: other, previousLogsFile: before },
        ],
      },
    });
    // The kubelet's port learns of the object by its own watch.
    await bed.eventually("kubernetes/logs/p1?namespace=kai-ml&container=c2", (answer) => {
      return answer.status === 200 && (answer.json() as PodLog).logs !== "";
    });
  }, 600_000);
  afterAll(async () => {
    expect(await bed?.close()).toEqual([]);
  }, 120_000);

  const log = async (query: string): Promise<PodLog> => {
    const answer = await bed.call(`kubernetes/logs/${query}`);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
    return answer.json() as PodLog;
  };

  test("A7: the last lines of one container's log", async () => {
    const { logs, ...names } = await log("p1?namespace=kai-ml&container=c2&tailLines=10");
    expect(logs.split("\n")).toHaveLength(11);
    expect(logs.startsWith("line 1991\n")).toBe(true);
    // Control characters are data; whoever shows them escapes them.
    expect(logs.endsWith(`${HOSTILE}\n`)).toBe(true);
    expect(names).toMatchObject({ podName: "p1", containerName: "c2", namespace: "kai-ml" });
    expect([names.containers, names.truncated]).toEqual([["c1", "c2"], false]);
    const absent = await bed.call("kubernetes/logs/nosuch?namespace=kai-ml");
    expect([absent.status, absent.json()]).toMatchObject([404, { code: "not_found" }]);
  }, 30_000);

  test("C6: container, namespace, length and the container before are chosen", async () => {
    expect(await log("p1?namespace=kai-ml")).toMatchObject({ containerName: "c1" });
    expect((await log("p1?container=c1&previous=true")).logs).toBe("it crashed\n");
    expect((await log("p1")).namespace).toBe("kai-ml");
    expect((await log("p1?container=c2")).logs.split("\n")).toHaveLength(1_001);
    expect((await log("p1?container=c2&tailLines=10000")).logs.split("\n")).toHaveLength(2_001);
    const code = async (query: string): Promise<number> => {
      return (await bed.call(`kubernetes/logs/${query}`)).status;
    };
    for (const lines of ["0", "10001", "-1", "1.5", "many"]) {
      expect([lines, await code(`p1?namespace=kai-ml&tailLines=${lines}`)]).toEqual([lines, 400]);
    }
    expect(await code("p1?namespace=kai-ml&container=c3")).toBe(404);
    expect(await code("p1?namespace=kai-ml-two")).toBe(404);
    const several = await bed.call("kubernetes/logs/twin-1");
    expect([several.status, several.text]).toEqual([
      409,
      expect.stringContaining("kai-ml, kai-ml-two"),
    ]);
    expect(await code("..%2f..%2fnodes?namespace=kai-ml")).toBe(400);
    expect(await code("p1?namespace=..")).toBe(400);
  }, 30_000);

  test("C33: each read of a log has a row, and so has a refused one", async () => {
    const rows = async (): Promise<AuditRecord[]> => {
      return (await bed.call("audit?verb=logs&limit=1000")).json() as AuditRecord[];
    };
    const before = (await rows()).length;
    await log("p1?container=c2");
    await bed.call("kubernetes/logs/nosuch?namespace=kai-ml");
    const after = await rows();
    expect(after).toHaveLength(before + 2);
    expect(after[1]).toMatchObject({ kind: "pod", namespace: "kai-ml", name: "p1", result: "ok" });
    expect(after[1]?.detail).toContain("container c2");
    expect(after[0]).toMatchObject({ name: "nosuch", result: "not_found" });
  }, 30_000);

  test("C6: a log is followed as server-sent events", async () => {
    const path =
      "/api/admin/kubernetes/logs/p1?namespace=kai-ml&container=c2&tailLines=1&follow=true";
    const stop = new AbortController();
    const answer = await fetch(`${bed.plane.url}${path}`, {
      headers: { authorization: `Bearer ${bed.plane.adminToken}` },
      signal: stop.signal,
    });
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    let text = "";
    const reader = answer.body?.getReader();
    const decoder = new TextDecoder();
    void (async () => {
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
        if (done) return;
        text += decoder.decode(value, { stream: true });
      }
    })().catch(() => undefined);
    await until("the log is open", 10_000, () => (text.includes("script") ? true : null));
    expect(text.startsWith('event: open\ndata: {"podName":"p1"')).toBe(true);
    // The escape character would drive a terminal that shows the stream.
    expect(text).not.toContain("\u001b");
    appendFileSync(file, "2026-11-23T00:00:02Z stdout F it goes on\n");
    await until("the new line comes", 20_000, () => (text.includes("it goes on") ? true : null));
    stop.abort();
  }, 60_000);
});
