/** The pages of HorizontalPodAutoscalers as a browser's requests see them. */
import { afterEach, expect, test } from "bun:test";
import { openWorldApp } from "../../../test/world/app.ts";
import { logIn } from "../../../test/world/browser.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import type { Asked, ConsoleCluster } from "../../core/console/cluster.ts";
import type { Hpa } from "../../core/console/hpa.ts";
import { HpaLog } from "../../core/console/hpa-log.ts";

afterEach(closeWorlds);

const hpa = (target: string, desired: number): Hpa => ({
  ...{
    namespace: "kai-ml",
    name: `${target}-hpa`,
    uid: target,
    target,
    min: 1,
    max: 9,
    current: 1,
  },
  ...{ desired, limit: null },
  metrics: [{ type: "Pods", metric: "d", measure: "average", value: 10 * desired, threshold: 10 }],
});

async function open() {
  const world = await fleet(1);
  const a = openWorldApp(world);
  const log = new HpaLog();
  log.take([hpa("web", 1), hpa("api", 2)], 0);
  log.take([hpa("web", 3), hpa("api", 2)], 60_000);
  let answer: Asked<HpaLog> = { kind: "ok", value: log };
  a.ports.console = { hpas: async () => answer } as unknown as ConsoleCluster;
  const as = async (role: string) => {
    const { body } = await a.call("POST", "/v1/tokens", { role, label: role });
    return logIn(a.app, world, `${body["token"]}`);
  };
  return {
    admin: await logIn(a.app, world),
    as,
    log,
    fail: (one: typeof answer) => (answer = one),
  };
}

const chartsOf = (text: string): { x: number[]; series: { name: string; values: number[] }[] }[] =>
  [...text.matchAll(/data-chart="([^"]+)"/g)].map(([, data = ""]) => {
    return JSON.parse(data.replaceAll("&quot;", '"'));
  });

test("C64: all services, and the two hours of one as charts and as figures", async () => {
  const { admin } = await open();
  const all = (await admin.get("/autoscaling")).text;
  for (const text of [
    'href="/autoscaling/kai-ml/web"',
    "1 → 3 wanted",
    "scale-up 1 → 3",
    "1 to 9",
  ]) {
    expect(all).toContain(text);
  }
  const { text } = await admin.get("/autoscaling/kai-ml/web");
  const [replicas, metrics] = chartsOf(text);
  expect(replicas).toMatchObject({
    x: [0, 60],
    series: [
      { name: "current", values: [1, 1] },
      { name: "wanted", values: [1, 3] },
      { name: "at least", values: [1, 1] },
      { name: "at most", values: [9, 9] },
    ],
  });
  expect(metrics?.series).toEqual([{ name: "d (Pods)", values: [100, 300] }]);
  for (const figure of ["d 30 of 10", "scale-up 1 → 3", "Waiting tasks of the queue"]) {
    expect(text).toContain(figure);
  }
});

test("C64: for administrators on internal networks, and what cannot be shown says why", async () => {
  const { admin, as, log, fail } = await open();
  const operator = await as("operator");
  for (const path of ["/autoscaling", "/autoscaling/kai-ml/web"]) {
    expect([path, (await operator.get(path)).status]).toEqual([path, 403]);
    expect([path, (await admin.get(path, "203.0.113.9")).status]).toEqual([path, 403]);
  }
  for (const [path, status] of [
    ["/autoscaling/kai-ml/none", 404],
    ["/autoscaling/other/web", 404],
    ["/autoscaling/KAI/..%2Fweb", 404],
    ["/autoscaling?page=0", 400],
  ] as const) {
    expect([path, (await admin.get(path)).status]).toEqual([path, status]);
  }
  log.take([], 120_000);
  expect((await admin.get("/autoscaling")).text).toContain("has no HorizontalPodAutoscaler");
  // Its events are still known.
  expect((await admin.get("/autoscaling/kai-ml/web")).text).toContain("scale-up 1 → 3");
  fail({ kind: "failed", code: "cluster_unreachable", message: "may not list" });
  expect((await admin.get("/autoscaling")).text).toContain("Cannot be read: may not list");
  expect((await admin.get("/autoscaling/kai-ml/web")).status).toBe(502);
});
