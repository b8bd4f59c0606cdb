/**
 * A second sender with a node's credential: a copied machine, or a thief who wants a dead GPU to
 * look well.
 */
import { afterEach, expect, test } from "bun:test";
import type { NodeId } from "../schema/id.ts";
import type { Report, ReportReply } from "../schema/report.ts";
import { reportOf } from "../test/world/agent.ts";
import { poolYaml, World } from "../test/world/world.ts";

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function replyTo(
  w: World,
  id: NodeId,
  agent: Parameters<typeof reportOf>[1],
  changes: Partial<Report>,
): Promise<ReportReply> {
  const report = { ...reportOf(id, agent, w.clock.wallMs()), findings: [], ...changes };
  const pending = w.ingest.accept(report as Report, id);
  await w.clock.pass(10);
  const answer = await pending;
  await w.turn();
  if (answer.kind !== "reply") throw new Error(answer.kind);
  return answer.reply;
}

async function openStory() {
  const w = await World.open(poolYaml(1), { store: "memory" });
  worlds.push(w);
  await w.until(() => w.serving().length === 1, 120);
  const id = w.serving()[0] as NodeId;
  const agent = w.agent(id);
  /** Sends a report of the real agent with changes, and gives the acknowledged number back. */
  const send = async (changes: Partial<Report>): Promise<number> =>
    (await replyTo(w, id, agent, changes)).ack_seq;
  const honest = reportOf(id, agent, w.clock.wallMs());
  const clean = { ...honest.check, active: [] } as Report["check"];
  /** A boot that there never was, and a check that finds nothing. */
  const forge = (boot: string): Promise<number> =>
    send({ boot_id: boot, stream: `of-${boot}`, check: clean } as unknown as Partial<Report>);
  /** GPU 0 is lost, and the agent says so under its next number. */
  const lose = async (): Promise<void> => {
    w.xid(id, 79);
    await w.say(id);
    await w.turn();
  };
  const codes = () => w.node(id).health.held.map(({ finding }) => finding.code);
  return { w, id, agent, send, forge, lose, codes };
}

test("a forged reboot hides a lost GPU until the agent's next word, and never again", async () => {
  const { w, send, forge, lose, codes } = await openStory();
  await lose();
  expect(codes()).toEqual([79]);
  await forge("forged");
  expect(codes()).toEqual([]);
  // The agent is asked once to tell again what holds, and does so under its next number.
  expect(await send({})).toBe(0);
  expect(await send({})).toBe(1);
  await lose();
  expect(codes()).toEqual([79]);
  // Neither of the two is believed when it says that something is over.
  await forge("forged");
  await forge("forged");
  await send({});
  expect(codes()).toEqual([79]);
  const said = w.events.filter(({ message }) => message.includes("two senders"));
  expect(said).toHaveLength(1);
});

test("a second forged reboot right after the first hides it no longer", async () => {
  const { w, send, forge, lose, codes } = await openStory();
  await lose();
  await forge("b-2");
  expect(await send({})).toBe(0);
  await lose();
  expect(codes()).toEqual([79]);
  await forge("b-3");
  expect(codes()).toEqual([]);
  // Too soon to be asked once more; that is owed, and the forger's own reports do not take it.
  expect(await send({})).not.toBe(0);
  await w.clock.pass(16_000);
  await forge("b-4");
  expect(await send({})).toBe(0);
  await w.clock.pass(16_000);
  // An answer may be lost: it is asked twice, and then believed.
  expect(await send({})).toBe(0);
  await w.clock.pass(16_000);
  expect(await send({})).not.toBe(0);
});

test("a forged check under the node's own boot id hides a missing GPU for minutes", async () => {
  const { w, id, agent, send } = await openStory();
  const missing = "lost/count/node";
  const where = { pci: null, gpu_index: null, gpu_uuid: null, kmsg_seq: null };
  const metrics = { expected: 2, present: 1, expected_from: "bus" };
  const lost = { kind: "lost", reason: "count", code: null, ...where, metrics } as const;
  const told = (seq: number) => {
    w.xid(id, 79);
    const row = agent.spool.at(-1);
    if (row === undefined) throw new Error("nothing was told");
    agent.spool = [];
    return { findings: [{ seq, finding: { ...row.finding, ...lost } }] } as Partial<Report>;
  };
  const reasons = () => w.node(id).health.held.map(({ finding }) => finding.reason);
  const check = { ...reportOf(id, agent, w.clock.wallMs()).check, active: [missing] };
  const lists = { check } as Partial<Report>;
  await send({ ...told(1), ...lists });
  expect(reasons()).toEqual(["count"]);
  await w.clock.pass(1_000);
  await send({
    stream: "of-a-thief",
    check: { ...check, active: [] },
  } as unknown as Partial<Report>);
  expect(reasons()).toEqual([]);
  const asked: boolean[] = [];
  for (let minute = 0; minute < 30; minute += 1) {
    asked.push((await replyTo(w, id, agent, lists)).tell_again === true);
    await w.clock.pass(60_000);
  }
  // Not at once, because a finding may be on its way; twice, because a reply may be lost.
  expect(asked.flatMap((one, minute) => (one ? [minute] : []))).toEqual([2, 12]);
  await send({ ...told(2), ...lists });
  expect(reasons()).toEqual(["count"]);
});

test("a forged inventory in another stream stays until the agent's next word", async () => {
  const { w, id, agent } = await openStory();
  const real = w.node(id).agent?.inventory;
  if (real === undefined) throw new Error("it has not registered");
  const forged = { ...real, gpus: [], provider_ids: ["i-of-a-thief"] };
  const thief = { stream: "of-a-thief", inventory: forged } as unknown as Partial<Report>;
  const quiet = { inventory: undefined } as unknown as Partial<Report>;
  await replyTo(w, id, agent, quiet);
  await replyTo(w, id, agent, thief);
  expect(w.node(id).agent?.inventory.provider_ids).toEqual(["i-of-a-thief"]);
  expect((await replyTo(w, id, agent, quiet)).want_inventory).toBe(true);
  const told = await replyTo(w, id, agent, { inventory: real });
  expect(told.want_inventory).toBe(false);
  expect(w.node(id).agent?.inventory).toEqual(real);
  const said = w.events.filter(({ message }) => message.includes("two agents report"));
  expect(said.map(({ node }) => node)).toEqual([id]);
  // It is believed from then on, and two agents do not make each other tell all the time.
  expect((await replyTo(w, id, agent, quiet)).want_inventory).toBe(false);
});

test("an agent that starts again in a new stream is no second one", async () => {
  const { w, id, agent } = await openStory();
  for (const stream of ["s-2", "s-3"]) {
    const { inventory } = reportOf(id, agent, w.clock.wallMs());
    await replyTo(w, id, agent, { stream, inventory } as unknown as Partial<Report>);
    const quiet = { stream, inventory: undefined } as unknown as Partial<Report>;
    expect((await replyTo(w, id, agent, quiet)).want_inventory).toBe(false);
  }
  expect(w.events.filter(({ message }) => message.includes("two agents"))).toEqual([]);
});

test("a true reboot ends it", async () => {
  const { agent, send, forge, lose, codes } = await openStory();
  await forge("forged");
  await send({});
  await lose();
  expect(codes()).toEqual([79]);
  agent.boot += 1;
  await send({});
  expect(codes()).toEqual([]);
});

test("boots that are over are remembered up to a bound", async () => {
  const { w, id, send, forge } = await openStory();
  for (let at = 0; at < 12; at += 1) await forge(`boot-of-${at}`);
  const { agent } = w.node(id);
  expect(agent?.formerBoots).toHaveLength(8);
  expect(agent?.formerBoots?.[0]).toBe("boot-of-10" as NonNullable<typeof agent>["bootId"]);
  expect(await send({})).toBeGreaterThanOrEqual(0);
});
