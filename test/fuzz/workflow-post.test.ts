/**
 * Any body to `POST /workflow` and `POST /v1/workflows`: an answer with its reason, never a crash,
 * and the next workflow runs.
 */
import { afterAll, expect, test } from "bun:test";
import fc from "fast-check";
import { openNoRecord } from "../world/rehearsal.ts";
import type { KubeAnswer, KubeApi } from "../../reconciler/kubernetes/api.ts";
import { REAL_CLOCK } from "../../reconciler/kubernetes/connect.ts";
import { TASK_TYPES } from "../../simulator/workflow/run/catalog.ts";
import { openPlaneWorkflows } from "../../simulator/workflow/run/control-plane.ts";
import { serveWorkflows } from "../../simulator/workflow/serve.ts";
import { openWorldApp } from "../world/app.ts";
import { closeWorlds, fleet } from "../world/story.ts";

const REFUSED: KubeAnswer = {
  ...{ kind: "refused", status: 404, reason: "NotFound", message: "the server is empty" },
  ...{ causes: [], retryAfterMs: null },
};
const ask = async () => ({ status: 409, text: "" });
/** An API server that has nothing and takes nothing. */
const EMPTY: KubeApi = {
  call: async () => REFUSED,
  watch: async () => ({ kind: "refused", status: 404, message: "empty", retryAfterMs: null }),
  close: () => undefined,
};
const open = () => openPlaneWorkflows({ api: EMPTY, clock: REAL_CLOCK, random: () => 0.5, ask });

const runs = openNoRecord(open());
const serving = serveWorkflows({ host: "127.0.0.1", port: 0, runs });
afterAll(async () => {
  await runs.close(1_000);
  await serving.stop();
  await closeWorlds();
});

const time = fc.constantFrom("1ms", "2ms", "", "1", "-1s", "1ms1ms", "∞");
const scalar = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  time,
);
const PARAMS = [
  ...["refTaskId", "template", "nameFormat", "podNameFormat", "podCount", "count", "params"],
  ...["state", "index", "nodes", "namespaces", "configmaps", "priorityClasses", "selectors"],
  ...["deploymentRestarts", "status", "nodeLabels", "name", "namespace", "data", "op", "type"],
  ...["labels", "resources", "canExist", "value", "query", "pool", "fault", "pick", "clear"],
];
const { params } = fc.letrec<{ params: unknown; value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("value"), { maxLength: 3 }),
    tie("params"),
  ),
  params: fc
    .tuple(fc.dictionary(fc.constantFrom(...PARAMS), tie("value"), { maxKeys: 5 }), fc.option(time))
    .map(([rest, timeout]) => (timeout === null ? rest : { ...rest, timeout })),
}));
const task = fc.record(
  {
    id: fc.constantFrom("a", "b", "c", "", 1, null),
    type: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...TASK_TYPES.keys()) },
      { weight: 1, arbitrary: scalar },
    ),
    description: scalar,
    params,
  },
  { requiredKeys: ["type"] },
);
const workflow = fc
  .record({ name: scalar, tasks: fc.array(task, { maxLength: 4 }) }, { requiredKeys: ["tasks"] })
  // JSON is YAML.
  .map((value) => JSON.stringify(value));
const cut = fc.tuple(workflow, fc.nat(200), fc.string({ maxLength: 3 })).map(([text, at, more]) => {
  return `${text.slice(0, at)}${more}${text.slice(at + 1)}`;
});
const body = fc.oneof(
  { weight: 6, arbitrary: workflow },
  { weight: 2, arbitrary: cut },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
  { weight: 1, arbitrary: fc.constantFrom("", "null", "[]", "- a", "a: &a [*a]", "--- \n---") },
);

const good = "name: good\ntasks: [{id: z, type: Sleep, params: {timeout: 1ms}}]";
const isFine = (status: number, text: string): boolean =>
  (status >= 200 && status < 300) ||
  (status >= 400 && status < 500 && text !== "") ||
  (status === 500 && text.trim() !== "" && !text.includes("internal error"));

test("W52: any body to POST /workflow has an answer, and the next one runs", async () => {
  const url = `http://127.0.0.1:${serving.port}/workflow`;
  const post = async (text: string | Uint8Array<ArrayBuffer>) => {
    const answer = await fetch(url, { method: "POST", body: text });
    return { status: answer.status, text: await answer.text() };
  };
  await fc.assert(
    fc.asyncProperty(fc.oneof(body, fc.uint8Array({ maxLength: 40 })), async (given) => {
      const bytes = typeof given === "string" ? given : new Uint8Array(given);
      const { status, text } = await post(bytes);
      expect([status, text, isFine(status, text)]).toEqual([status, text, true]);
    }),
    { numRuns: 400 },
  );
  expect(await post(good)).toEqual({ status: 200, text: "" });
}, 60_000);

test("W54: any body to POST /v1/workflows is a run or a refusal, and every run ends", async () => {
  const world = await fleet(1, "simulation: { enabled: true }\n");
  const runner = open();
  const { app, ports } = openWorldApp(world, runner);
  const headers = { Authorization: "Bearer root" };
  const type = fc.constantFrom({}, { "Content-Type": "application/json" });
  const bundle = fc
    .record({ workflow: fc.oneof(body, scalar), templates: fc.oneof(params, scalar) })
    .map((value) => JSON.stringify(value));
  await fc.assert(
    fc.asyncProperty(fc.oneof(body, bundle), type, async (text, more) => {
      const init = { method: "POST", body: text, headers: { ...headers, ...more } };
      const answer = await app.request("/v1/workflows", init);
      expect([202, 400]).toContain(answer.status);
      const { id = "", error } = (await answer.json()) as { id?: string; error?: unknown };
      expect([answer.status, id === ""]).toEqual([answer.status, answer.status === 400]);
      // A run has an error of its own, `null` as it begins.
      if (id !== "") expect(error).toBeNull();
      else expect(error).toBeObject();
      if (id === "") return;
      const ended = await ports.workflows.ended(id);
      expect(["passed", "failed"]).toContain(`${ended?.state}`);
      expect(`${ended?.error}`).not.toContain("internal error");
    }),
    { numRuns: 300 },
  );
}, 60_000);
