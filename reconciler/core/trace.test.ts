import { afterEach, expect, test } from "bun:test";
import { closeWorlds, fleet } from "../../test/world/story.ts";
import { openWorldApp } from "../../test/world/app.ts";
import { readTraceparent, type Span, spansOf, traceIdOf } from "./trace.ts";

afterEach(closeWorlds);

test.each([
  ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true],
  ["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", true],
  ["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false],
  ["00-00000000000000000000000000000000-b7ad6b7169203331-01", false],
  ["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false],
  ["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false],
  ["0af7651916cd43dd8448eb211c80319c", false],
  [null, false],
])("C81: readTraceparent(%p) is valid: %p", (text, valid) => {
  expect(readTraceparent(text) !== null).toBe(valid);
});

test("C81: a repair is one trace, from the suspicion to the end of its machine", async () => {
  const world = await fleet(2);
  const spans: Span[] = [];
  world.onCommit = (change) => spans.push(...spansOf(change));
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  await world.until(() => world.serving().length === 2 && !world.serving().includes(sick), 3_600);
  await world.until(() => spans.some(({ name }) => name === "repair"), 3_600);
  const { call } = openWorldApp(world);
  const { body } = await call("GET", `/v1/events?node=${sick}`);
  const events = body["events"] as { session_id: string | null; trace_id: string | null }[];
  const named = events.find((one) => one.session_id !== null);
  const traceId = traceIdOf(named?.session_id ?? "");
  expect(named?.trace_id).toBe(traceId);
  const own = spans.filter((span) => span.traceId === traceId);
  const root = own.find(({ parentId }) => parentId === null);
  if (root === undefined) throw new Error("the repair has no root");
  expect(own.map(({ name }) => name)).toEqual(expect.arrayContaining(["cordon", "terminate"]));
  for (const span of own) {
    expect(span.startAt).toBeLessThanOrEqual(span.endAt);
    if (span !== root) expect(span.parentId).toBe(root.spanId);
  }
  expect(new Set(own.map(({ spanId }) => spanId)).size).toBe(own.length);
});

test("C81: each answer names its trace, the caller's if it sent one, and a change is a span", async () => {
  const world = await fleet(1);
  const { app, ports } = openWorldApp(world);
  const spans: Span[] = [];
  ports.traces = { take: (more) => void spans.push(...more) };
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const headers = {
    Authorization: "Bearer root",
    traceparent: `00-${traceId}-b7ad6b7169203331-01`,
  };
  const put = { method: "PUT", headers, body: JSON.stringify({ reason: "fire", for: "1h" }) };
  const frozen = await app.request("/v1/safety/freeze", put);
  expect(frozen.headers.get("x-request-id")).toBe(traceId);
  expect(spans).toMatchObject([
    { traceId, parentId: "b7ad6b7169203331", name: "PUT /v1/safety/freeze", failure: null },
  ]);
  const read = await app.request("/v1/nodes/nothing", {
    headers: { Authorization: "Bearer root" },
  });
  const id = read.headers.get("x-request-id") ?? "";
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(await read.json()).toMatchObject({ error: { request_id: id } });
  expect(spans).toHaveLength(1);
});
