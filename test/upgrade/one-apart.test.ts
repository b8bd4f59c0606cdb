/**
 * A control plane and agents of neighbouring releases. What the earlier release said is kept as
 * documents (`fixture/contract/`) and taken in here by the code of now; and what the code of now
 * says is read here as the earlier release read it, whose rules are written down below and stay.
 */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import * as v from "valibot";
import { decodeFrame } from "../../agent/report/reply.ts";
import type { NodeId } from "../../schema/id.ts";
import { type AgentCommand, Report, type ReportReply } from "../../schema/report.ts";
import { makeKey, signed } from "../agent/test-key.ts";
import { readFact } from "../../reconciler/store/document.ts";
import { fleet, closeWorlds, threshold } from "../world/story.ts";

afterEach(closeWorlds);

const DOCUMENTS = join(import.meta.dir, "../fixture/contract");
const Kept = v.object({ schema: v.string(), document: v.record(v.string(), v.unknown()) });
const kept = async (name: string) =>
  v.parse(Kept, await Bun.file(join(DOCUMENTS, name)).json()).document;

/** How release 0.1.0 read a reply: the envelope strictly, each command by itself. */
const number = v.pipe(v.number(), v.integer(), v.minValue(0));
const EarlierReply = v.object({
  ack_seq: number,
  stream: v.string(),
  node_id: v.string(),
  config: v.object({ heartbeat_ms: number, sample_ms: number, check_ms: number }),
  commands: v.array(v.unknown()),
  server_time: v.string(),
  want_inventory: v.boolean(),
  node_status: v.nullish(v.pipe(v.string(), v.maxLength(64)), null),
  verdict: v.nullish(v.pipe(v.string(), v.maxLength(32)), null),
  credential: v.nullish(v.pipe(v.string(), v.maxLength(256)), null),
});
const EarlierCommand = v.object({
  command_id: v.string(),
  type: v.picklist(["diagnose", "reboot", "gpu_reset"]),
  parameters: v.record(v.string(), v.pipe(v.string(), v.maxLength(256))),
  fence: number,
});

async function answerTo(document: Record<string, unknown>): Promise<ReportReply> {
  const world = await fleet(1, threshold(1));
  const [node = ""] = world.serving();
  const report = v.parse(Report, { ...document, node_id: node });
  const pending = world.ingest.accept(report, node as NodeId);
  await world.clock.pass(10);
  const answer = await pending;
  if (answer.kind !== "reply") throw new Error(JSON.stringify(answer));
  await world.turn();
  expect(world.node(node).agent?.version).toBe(report.agent_version);
  return answer.reply;
}

test("an agent of the earlier release is understood, and understands the answer", async () => {
  const reply = await answerTo(await kept("report-full.v1.json"));
  const read = v.safeParse(EarlierReply, JSON.parse(JSON.stringify(reply)));
  expect(read.issues).toBe(undefined);
  // Whatever is ordered, it was able to read: an upgrade is no word of its.
  for (const command of reply.commands) {
    expect(v.safeParse(EarlierCommand, command).success).toBe(true);
  }
});

test("an agent of now understands what the earlier control plane says", async () => {
  const frame = decodeFrame(JSON.stringify(await kept("reply.v1.json")));
  if (frame.kind !== "reply") throw new Error(JSON.stringify(frame));
  expect(frame.reply.commands.map(({ type }) => type)).toEqual(["gpu_reset"]);
});

test("an order that the earlier release does not know costs it the order alone", async () => {
  const upgrade = { command_id: "c1.to", type: "upgrade", parameters: {}, fence: 1 };
  const document = await kept("reply.v1.json");
  const commands = [upgrade, ...v.parse(v.array(v.unknown()), document["commands"])];
  const read = v.parse(EarlierReply, { ...document, commands });
  const known = read.commands.filter((one) => v.safeParse(EarlierCommand, one).success);
  expect(known).toEqual(v.parse(v.array(v.unknown()), document["commands"]));
  // The same of the agent of now, and an order of tomorrow.
  const later = [{ ...upgrade, type: "of_tomorrow" }, ...commands];
  const frame = decodeFrame(JSON.stringify({ ...document, commands: later }));
  if (frame.kind !== "reply") throw new Error(JSON.stringify(frame));
  expect(frame.reply.commands.map(({ type }) => type)).toEqual(["upgrade", "gpu_reset"]);
});

test("a signed order is one to the earlier release, and so is a reply that shows the key", async () => {
  const key = makeKey();
  const plain = {
    command_id: "c1",
    type: "gpu_reset",
    parameters: { gpu: "1" },
    fence: 1,
  } as const;
  const order = signed(key, plain as unknown as AgentCommand, "n1");
  expect(v.safeParse(EarlierCommand, order).output).toEqual(plain);
  const document = { ...(await kept("reply.v1.json")), order_key: key.shown, commands: [order] };
  expect(v.safeParse(EarlierReply, document).issues).toBe(undefined);
});

test("an inventory of now is one to the earlier release: a capability is a text", async () => {
  const document = await kept("report-full.v1.json");
  const inventory = v.parse(v.record(v.string(), v.unknown()), document["inventory"]);
  const more = { ...inventory, capabilities: ["diagnose", "upgrade:linux-amd64"] };
  const report = v.parse(Report, { ...document, inventory: more });
  // Its rule, as it was: at most 32 texts of at most 64 characters.
  const Earlier = v.pipe(v.array(v.pipe(v.string(), v.maxLength(64))), v.maxLength(32));
  expect(v.safeParse(Earlier, report.inventory?.capabilities).success).toBe(true);
});

test("a control plane that is put back passes over facts that it does not know", () => {
  // How it reads a fact has not changed since facts exist: one of tomorrow stands for ours there.
  expect(readFact(JSON.stringify({ kind: "of_tomorrow", id: "c1" }))).toEqual({
    ok: true,
    value: null,
  });
});
