import { afterAll, beforeAll, expect, test } from "bun:test";
import type { NodeId } from "../../../schema/id.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { poolYaml, World } from "../../../test/world/world.ts";
import { label, labelsOf, Series } from "./series.ts";

/** More than two slices of the page and six of the list. */
const SIZE = 620;

let w: World;
let a: WorldApp;
beforeAll(async () => {
  w = await World.open(poolYaml(SIZE, ""));
  a = openWorldApp(w);
  await w.until(() => w.serving().length === SIZE, 600);
});
afterAll(() => w.close());

/** Series by metric, in the order of the page. */
function metricsOf(page: string): Map<string, string[]> {
  const metrics = new Map<string, string[]>();
  let metric = "";
  for (const line of page.split("\n")) {
    if (line === "") continue;
    const head = /^# (HELP|TYPE) (\w+) \S/.exec(line);
    if (head?.[1] === "HELP") {
      metric = head[2] ?? "";
      expect(`${metric} again: ${metrics.has(metric)}`).toBe(`${metric} again: false`);
      metrics.set(metric, []);
    } else if (head !== null) {
      expect(head[2]).toBe(metric);
    } else {
      const name = /^\w+/.exec(line)?.[0] ?? "";
      // A histogram's series have endings of their own.
      expect(name.replace(/_(bucket|sum|count)$/, "")).toBe(
        metric.endsWith("_count") ? metric.replace(/_count$/, "") : metric,
      );
      metrics.get(metric)?.push(line);
    }
  }
  return metrics;
}

test("slices() make one page: every metric once, with a series for every node and GPU", async () => {
  const page = (await a.call("GET", "/metrics", undefined, null)).text;
  expect(page.endsWith("\n")).toBe(true);
  const metrics = metricsOf(page);
  const gpus = w.serving().flatMap((id) => w.reconciler.presence.sample(id as NodeId)?.gpus ?? []);
  expect(gpus.length).toBeGreaterThanOrEqual(SIZE);
  const counts = (name: string): number => new Set(metrics.get(name)).size;
  expect(counts("navarch_node_gpu_count")).toBe(SIZE);
  expect(counts("navarch_node_health_status")).toBe(SIZE);
  for (const [name, key] of [
    ["navarch_node_gpu_temperature_celsius", "temperature_celsius"],
    ["navarch_node_gpu_utilization_percent", "utilization_percent"],
    ["navarch_node_gpu_memory_used_bytes", "memory_used_bytes"],
    ["navarch_node_gpu_power_watts", "power_watts"],
  ] as const) {
    expect(metrics.has(name)).toBe(true);
    expect(counts(name)).toBe(gpus.filter((gpu) => typeof gpu[key] === "number").length);
  }
  const all = [...metrics.values()].flat();
  expect(new Set(all).size).toBe(all.length);
});

test("slices() keep a slice small, whatever the size of the fleet", async () => {
  const sizes: number[] = [];
  for await (const slice of a.metrics.slices()) sizes.push(slice.length);
  expect(sizes.length).toBeGreaterThan(18);
  expect(Math.max(...sizes)).toBeLessThan(256 * 1_024);
});

test("slices() show a GPU's own reading under its own labels", async () => {
  const [id = ""] = w.serving();
  const gpu = { index: 3, uuid: 'GPU-"3"\\', temperature_celsius: 61.5, power_watts: null };
  w.reconciler.presence.note(id as NodeId, w.clock.monoMs(), w.clock.wallMs(), {
    at: new Date(w.clock.wallMs()).toISOString(),
    gpus: [gpu],
  });
  const page = (await a.call("GET", "/metrics", undefined, null)).text;
  const lines = page.split("\n").filter((line) => line.includes(`node_id="${id}",gpu_index`));
  const labels = `{pool="p",node_id="${id}",gpu_index="3",gpu_uuid="GPU-\\"3\\"\\\\"}`;
  expect(lines).toEqual([`navarch_node_gpu_temperature_celsius${labels} 61.5`]);
});

test("HEAD /metrics answers without making the page", async () => {
  const answer = await a.call("HEAD", "/metrics", undefined, null);
  expect([answer.status, answer.text]).toEqual([200, ""]);
  expect(answer.headers.get("Content-Type")).toBe("text/plain; version=0.0.4; charset=utf-8");
});

test("GET /nodes is whole without a limit and by pages with one, in one order", async () => {
  type List = { nodes: { node_id: string }[]; next: string | null };
  const list = async (query: string): Promise<List> =>
    JSON.parse((await a.call("GET", `/v1/nodes?${query}`)).text) as List;
  const whole = await list("");
  const ids = whole.nodes.map((node) => node.node_id);
  expect([ids, whole.next]).toEqual([w.serving().sort(), null]);
  for (const size of [101, 200, SIZE, SIZE + 1]) {
    const paged: string[] = [];
    let page = await list(`limit=${size}`);
    for (;;) {
      paged.push(...page.nodes.map((node) => node.node_id));
      expect(page.nodes.length).toBeLessThanOrEqual(size);
      if (page.next === null) break;
      page = await list(`limit=${size}&cursor=${page.next}`);
    }
    expect(paged).toEqual(ids);
  }
  expect(await list("status=cordoned")).toEqual({ nodes: [], next: null });
});

test("labelsOf() and label() escape what the format reserves", () => {
  expect(labelsOf({})).toBe("");
  expect(labelsOf({ a: "x", b: 'q"\\\n' })).toBe('{a="x",b="q\\"\\\\\\n"}');
  expect(label("a", "")).toBe('a=""');
});

test("take() gives the head once, and each line once", () => {
  const series = new Series("navarch_nodes");
  const take = (): string => Buffer.from(series.take()).toString();
  series.add({ a: "1" }, 2);
  const head = "# HELP navarch_nodes Nodes by status.\n# TYPE navarch_nodes gauge\n";
  expect(take()).toBe(`${head}navarch_nodes{a="1"} 2\n`);
  series.raw(0.5);
  expect(take()).toBe("navarch_nodes 0.5\n");
  expect(take()).toBe("");
  const long = "é€𝄞".repeat(5_000);
  series.raw(1, "{", label("a", long), "}");
  expect(take()).toBe(`navarch_nodes{a="${long}"} 1\n`);
});

test("observeMarked() counts from the report that told of the fault to the first mark", async () => {
  const [, id = ""] = w.serving();
  const node = () => w.reconciler.fleet().nodes.get(id as NodeId);
  expect(a.metrics.observeMarked(id, w.clock.wallMs())).toBe(null);
  w.xid(id, 79);
  await w.say(id);
  await w.reconciler.activate();
  const at = node()?.health.held[0]?.firstAt ?? Number.NaN;
  expect(a.metrics.observeMarked(id, at + 25)).toBe(25);
  const page = (await a.call("GET", "/metrics", undefined, null)).text;
  expect(page).toContain('navarch_isolation_seconds_count{pool="p"} 1');
  await w.until(() => (node()?.cordon.product ?? null) !== null, 60);
  expect(a.metrics.observeMarked(id, at + 90)).toBe(null);
});
