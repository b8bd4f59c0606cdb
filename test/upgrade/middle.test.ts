/**
 * What a man in the middle of plain http can do with orders: nothing that runs. Real agents in
 * binaries of their own, a real control plane, and between them a proxy that replaces the order, the
 * release, its list of checksums and its signature. Each refusal is seen at the control plane on the
 * next contact that is left alone.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openReleaseKey } from "../../reconciler/security/release-key.ts";
import type { TrustView } from "../../schema/order.ts";
import type { CommandId } from "../../schema/id.ts";
import type { AgentCommand, ReportReply } from "../../schema/report.ts";
import { makeKey, signed } from "../agent/test-key.ts";
import { type Attack, Middle } from "./proxy.ts";
import { buildAgent, cleanUp, Rig, Service, until } from "./rig.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "navarch-middle-"));
/** There once anything of the attacker's has run. */
const OWNED = join(FOLDER, "owned");
const EVIL = `#!/bin/sh\necho "$0" >>${OWNED}\necho navarch-node 9.9.9\n`;
const PLATFORM = process.arch === "arm64" ? "linux-arm64" : "linux-amd64";
const NAME = `navarch-node-${PLATFORM}`;
const sha256 = (data: string | Uint8Array) =>
  new Bun.CryptoHasher("sha256").update(data).digest("hex");

let old = "";
let young = "";
let rig: Rig;
let middle: Middle;
let one: Service;
let two: Service;
const attacker = makeKey();

beforeAll(async () => {
  old = await buildAgent("1.0.0");
  young = await buildAgent("1.1.0");
  rig = await new Rig().start();
  middle = new Middle(() => rig.url);
  const { fingerprint } = genuine();
  const given = [`--key-fingerprint=${fingerprint}`, "--allow-commands"];
  one = new Service(old, middle, "n1", given);
  two = new Service(old, middle, "n2", given);
  await rig.serves("n1", "1.0.0");
  await rig.serves("n2", "1.0.0");
}, 60_000);
afterAll(async () => {
  await one.stop();
  await two.stop();
  await middle.stop();
  await rig.kill();
  cleanUp();
  rmSync(FOLDER, { recursive: true, force: true });
});
beforeEach(() => {
  middle.attack = {};
});

/** The key of the control plane itself, for what only it could have said. */
const genuine = () =>
  openReleaseKey(join(rig.state, "release-key.pem"), () => new Uint8Array()).key;

let serial = 0;
function evilOrder(change: Partial<AgentCommand["parameters"]> = {}): AgentCommand {
  const url = `/releases/9.9.9/${NAME}`;
  const all = { version: "9.9.9", url, sha256: sha256(EVIL), confirm_ms: "60000" };
  const parameters = { ...all, ...change } as AgentCommand["parameters"];
  return { command_id: `evil-${++serial}` as CommandId, type: "upgrade", parameters, fence: 1 };
}

/** A whole release of the attacker's, signed with a key of its own. */
function evilFile(path: string): ReturnType<NonNullable<Attack["file"]>> {
  const sums = `${sha256(EVIL)}  ${NAME}\n${sha256("9.9.9\n")}  VERSION\n`;
  if (path.endsWith("SHA256SUMS")) return sums;
  if (path.endsWith("SHA256SUMS.sig")) return new Uint8Array(attacker.sign(Buffer.from(sums)));
  return path.startsWith("/releases/") ? EVIL : null;
}

/** Adds an order to each reply to this node. */
function injects(node: string, command: AgentCommand): Attack {
  const reply = (said: ReportReply): ReportReply =>
    said.node_id === node ? { ...said, commands: [...said.commands, command] } : said;
  return { reply, file: evilFile };
}

const trust = async (): Promise<TrustView> => {
  return (await (await rig.call("GET", "/trust")).json()) as TrustView;
};
const refusedBy = async (node: string): Promise<{ orders: number; last: string }> => {
  const found = (await trust()).refused.nodes.find(({ node_id }) => node_id === node);
  return { orders: found?.orders ?? 0, last: found?.last ?? "" };
};
async function toldOf(node: string): Promise<string> {
  const answer = await rig.call("GET", `/events?node=${node}&limit=1000`);
  const { events } = (await answer.json()) as { events: { message: string }[] };
  return events.map(({ message }) => message).join("\n");
}

function expectNothingRan(service: Service, version = old): void {
  expect(existsSync(OWNED)).toBe(false);
  expect(readFileSync(service.binary).equals(readFileSync(version))).toBe(true);
  expect(existsSync(`${service.binary}.next`)).toBe(false);
}

const forged: [string, () => AgentCommand, string][] = [
  ["without a signature", () => evilOrder(), "it is not signed"],
  ["with a key of its own", () => signed(attacker, evilOrder(), "n1"), "it is signed with sha256:"],
  [
    "with a signature of another order",
    () => ({ ...evilOrder(), signature: signed(genuine(), evilOrder(), "n1").signature ?? null }),
    "not that of this order",
  ],
  [
    "for another node",
    () => signed(genuine(), evilOrder(), "n2"),
    "not that of this order to this",
  ],
  [
    "that the control plane gave yesterday",
    () => signed(genuine(), evilOrder(), "n1", Date.now() - 24 * 3_600_000),
    "it expired at",
  ],
  [
    "to reboot, with a fence that would shut out all others",
    () => ({ ...evilOrder(), type: "reboot", fence: Number.MAX_SAFE_INTEGER }),
    "it is not signed",
  ],
];
test.each(forged)(
  "an order %s is refused, and reported to the control plane",
  async (_w, make, why) => {
    const command = make();
    const before = await refusedBy("n1");
    // Reports go no further for now, neither the refusal nor what would ask for it again.
    middle.attack = { ...injects("n1", command), alone: true };
    await until("the agent refuses it", () => (one.log.includes(command.command_id) ? true : null));
    await Bun.sleep(2_500);
    expect((await refusedBy("n1")).orders).toBe(before.orders);
    middle.attack = {};
    const { orders, last } = await until("the refusal is known", async () => {
      const now = await refusedBy("n1");
      return now.orders > before.orders ? now : null;
    });
    expect(orders).toBe(before.orders + 1);
    expect(last).toContain(`${command.type} ${command.command_id} at `);
    expect(last).toContain(why);
    expectNothingRan(one);
    expect(await toldOf("n1")).toContain(`the agent refused an order: ${last}`);
    const page = await (await fetch(`${rig.url}/metrics`)).text();
    expect(page).toContain(`navarch_agent_orders_refused ${orders}\n`);
    expect(one.statuses).toEqual([]);
  },
  60_000,
);

test("a real order with another release on the way is refused, whoever signed that", async () => {
  rig.release("1.1.0", young);
  const real = readFileSync(young);
  const sums = `${sha256(real)}  ${NAME}\n${sha256("1.1.0\n")}  VERSION\n`;
  const evil = `${sha256(EVIL)}  ${NAME}\n${sha256("1.1.0\n")}  VERSION\n`;
  const bytes = (text: string) => new Uint8Array(attacker.sign(Buffer.from(text)));
  const attacks: [NonNullable<Attack["file"]>, string][] = [
    // The program alone: the signed list names another checksum.
    [(path) => (path.endsWith(NAME) ? EVIL : null), "has the checksum"],
    // The list with it.
    [(path) => (path.endsWith("SUMS") ? evil : path.endsWith(NAME) ? EVIL : null), "not signed"],
    // And its signature.
    [
      (path) => {
        if (path.endsWith(".sig")) return bytes(evil);
        return path.endsWith("SUMS") ? evil : path.endsWith(NAME) ? EVIL : null;
      },
      "not signed with the release key of this node",
    ],
    // The real list under a signature of the attacker's.
    [(path) => (path.endsWith(".sig") ? bytes(sums) : null), "not signed with the release key"],
  ];
  for (const [file, why] of attacks) {
    middle.attack = { file };
    await rig.call("POST", "/upgrade", { to: "1.1.0", max_unavailable: "100%" });
    const ended = await until("the upgrade is over", async () => {
      const upgrade = await rig.upgrade();
      return upgrade.state === "rolled back" ? upgrade : null;
    });
    expect(ended.why).toContain(why);
    expectNothingRan(one);
    expectNothingRan(two);
    expect([one.statuses, two.statuses]).toEqual([[], []]);
  }
}, 60_000);

test("an order captured on its way to one node does nothing on another, and neither does a change", async () => {
  // The real order to n1 is held back from n1 and given to n2, once as it is and once changed.
  let captured: AgentCommand | null = null;
  const before = await refusedBy("n2");
  middle.attack = {
    file: evilFile,
    reply: (said) => {
      const [command] = said.commands;
      if (said.node_id === "n1" && command !== undefined) captured = command;
      const stolen = captured as AgentCommand | null;
      if (said.node_id === "n1" || stolen === null) return { ...said, commands: [] };
      const parameters = { ...stolen.parameters, sha256: sha256(EVIL) };
      const changed = { ...stolen, command_id: "changed" as CommandId, parameters };
      return { ...said, commands: [stolen, changed] };
    },
  };
  await rig.call("POST", "/upgrade", { to: "1.1.0", deadline: "60s" });
  await until("both are refused", async () => {
    return (await refusedBy("n2")).orders >= before.orders + 2 ? true : null;
  });
  expect((await refusedBy("n2")).last).toContain("not that of this order to this node");
  expectNothingRan(one);
  expectNothingRan(two);
  // Left alone, the same campaign goes on: nothing of the attack shut the real order out.
  middle.attack = {};
  await rig.reaches("running", "n1", "upgraded");
  expect(readFileSync(one.binary).equals(readFileSync(young))).toBe(true);
  await rig.call("DELETE", "/upgrade", { rollback: true });
  await rig.reaches("rolled back", "n1", "back");
  expect(readFileSync(one.binary).equals(readFileSync(old))).toBe(true);
}, 90_000);

test("an older release is refused even from the control plane's own hand, once replaced or not", async () => {
  rig.release("0.9.0", old);
  const parameters = {
    version: "0.9.0",
    url: `/releases/0.9.0/${NAME}`,
    sha256: sha256(readFileSync(old)),
  };
  const answers: string[] = [];
  for (const more of [{}, { force: "true" }, { back: "true" }]) {
    const plain = { ...evilOrder(), parameters: { ...parameters, ...more }, fence: 9 };
    const command = signed(genuine(), plain as AgentCommand, "n2");
    middle.attack = {
      reply: (said) => (said.node_id === "n2" ? { ...said, commands: [command] } : said),
    };
    const id = command.command_id;
    answers.push(
      await until(`an answer to ${id}`, () => {
        const lines = two.log.split("\n").filter((line) => line.includes(id));
        return lines.find((line) => line.includes("command done")) ?? null;
      }),
    );
    middle.attack = {};
  }
  for (const line of answers) expect(JSON.parse(line)).toMatchObject({ outcome: "rejected" });
  expectNothingRan(two);
}, 60_000);

test("a join token brings the key past whoever is there at the first contact", async () => {
  const made = await rig.call("POST", "/join-tokens", { pool: "p" });
  const { token } = (await made.json()) as { token: string };
  expect(token).toEndWith(genuine().fingerprint.replace("sha256:", "."));
  const shown = (said: ReportReply): ReportReply =>
    said.node_id === "n4" ? { ...said, order_key: attacker.shown } : said;
  middle.attack = { reply: shown };
  const fourth = new Service(old, middle, "n4", [`--join-token=${token}`]);
  await until("it has joined", () => (fourth.log.includes('"joined"') ? true : null));
  await until("it is shown another key", () => {
    return fourth.log.includes("presents another key than the stored one") ? true : null;
  });
  const order = signed(attacker, evilOrder(), "n4");
  middle.attack = {
    ...injects("n4", order),
    reply: (said) => ({ ...shown(said), commands: [order] }),
  };
  await until("the refusal is known", async () =>
    (await refusedBy("n4")).orders > 0 ? true : null,
  );
  expectNothingRan(fourth);
  expect((await trust()).other_key.nodes).not.toContain("n4");
  await fourth.stop();
}, 60_000);

test("who is there at the first contact is taken for the control plane, and found out afterwards", async () => {
  const shown = (said: ReportReply): ReportReply =>
    said.node_id === "n3" ? { ...said, order_key: attacker.shown } : said;
  middle.attack = { reply: shown };
  const third = new Service(old, middle, "n3");
  await until("the agent knows a key", () => (third.log.includes("first use") ? true : null));
  middle.attack = {};
  const view = await until("it is found out", async () => {
    const now = await trust();
    return now.other_key.count > 0 ? now : null;
  });
  expect(view.other_key).toEqual({ count: 1, nodes: ["n3"] });
  const doctor = await rig.cli("doctor");
  expect(doctor.out).toMatch(/fail +agent keys +1 agent \(n3\) refused this key/);
  await third.stop();
}, 60_000);
