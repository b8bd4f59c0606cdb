/**
 * Scripts as a provider (V52, X14): the port's contract through real processes of bash, then what
 * scripts print, how they end, and the names that tell whose workers are whose.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answerScript } from "../../../test/fixture/cloud/shell-server.ts";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../../test/port/provider.contract.ts";
import { seeded } from "../../../simulator/engine/random.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { nodeIdOf } from "../../core/decide/offer.ts";
import { openMemoryCloud } from "../fake/memory.ts";
import { openShellProvider, type ScriptRun, type Scripts } from "./shell.ts";
import type { ShellProviderOptions } from "./shell.ts";
import { readWorkers } from "./shell-line.ts";

const root = mkdtempSync(join(tmpdir(), "navarch-shell-"));
const CLIENT = join(import.meta.dir, "../../../test/fixture/cloud/shell-client.ts");
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
const fresh = (name: string) => join(root, `${name}-${(folders += 1)}`);
const clock = {
  wallMs: () => 1_000_000,
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};
const FENCE = { nodeId: "n1", fence: 3, sessionId: "s1" };
const id = (name: string) => name as InstanceId;

function openTest(scripts: Partial<Scripts>, more: Partial<ShellProviderOptions> = {}) {
  return openShellProvider({
    ...{ name: "mine", class: "tag-only", settleMs: 1_000, timeoutMs: 20_000, namePrefix: null },
    scripts: { start: "exit 9", stop: "exit 9", list: "exit 9", batchStart: null, ...scripts },
    ...{ fleetId: contractFleetId, env: { PATH: process.env["PATH"] ?? "" }, clock },
    record: null,
    ...more,
  });
}

const subject = (cls: "name" | "tag-only") => {
  let nowMs = 1_000_000;
  const cloudClock = { wallMs: () => nowMs, after: () => undefined };
  const about = { fleetId: contractFleetId, class: cls };
  const cloud = openMemoryCloud({ clock: cloudClock, random: seeded(1), ...about });
  const socket = fresh("socket");
  const server = Bun.serve({
    unix: socket,
    fetch: async (request) => Response.json(await answerScript(cloud, await request.text())),
  });
  const call = (operation: string) =>
    `exec "${process.execPath}" "${CLIENT}" "${socket}" ${operation} "$@" </dev/null`;
  const scripts = { start: call("start"), stop: call("stop"), list: call("list") };
  const settleMs = cls === "tag-only" ? 1_000 : 0;
  return {
    provider: openTest(scripts, { class: cls, settleMs }),
    step: (ms: number) => void (nowMs += ms),
    setFaults: (faults: Parameters<typeof cloud.setFaults>[0]) => cloud.setFaults(faults),
    reality: () => cloud.reality(),
    ignoresFences: true,
    close: async () => {
      await server.stop(true);
      await cloud.close();
    },
  };
};

providerContract(
  "V52: openShellProvider()",
  async (cls) => subject(cls === "name" ? "name" : "tag-only"),
  ["name", "tag-only"],
);

/** Scripts as the guides of the shell protocol write them: a folder with a file per worker. */
function inFolder(more: Partial<ShellProviderOptions> = {}) {
  const folder = fresh("workers");
  mkdirSync(folder);
  const scripts = {
    start: `basename "$(mktemp ${folder}/worker-XXXXX)"`,
    stop: `rm "${folder}/$1"`,
    list: `ls ${folder}`,
    batchStart: `for i in $(seq "$1"); do touch "${folder}/$2-$i"; echo "$2-$i"; done`,
  };
  return { folder, provider: openTest(scripts, more) };
}

const namesOf = async (provider: ReturnType<typeof openTest>) => {
  const answer = await provider.list();
  return answer.kind === "ok" ? answer.instances.map((one) => one.id as string) : answer;
};

describe("V52: scripts", () => {
  test("V52: start prints the name, list shows it, stop ends it", async () => {
    const { folder, provider } = inFolder();
    const made = await provider.create(contractRequest("n1"), FENCE, null);
    if (made.kind !== "ok") throw new Error(JSON.stringify(made));
    expect(made.instance.id as string).toMatch(/^worker-/);
    expect(made.instance).toMatchObject({ name: "f-train-n1-1", tags: { "navarch-node": "n1" } });
    expect(await namesOf(provider)).toEqual([made.instance.id]);
    expect(await provider.terminate(made.instance.id, FENCE)).toEqual({ kind: "accepted" });
    expect(await namesOf(provider)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
    // There is nothing to remove any more, and `rm` does not say why.
    expect(await provider.terminate(made.instance.id, FENCE)).toMatchObject({
      kind: "ambiguous",
      message: expect.stringContaining("stop: exit status 1"),
    });
  });

  test("V52: X14: stop gets the name as $1 and as WORKER_NAME", async () => {
    const seen = fresh("seen");
    const provider = openTest({ stop: `echo "$# $1 \${WORKER_NAME}" >${seen}` });
    await provider.terminate(id("worker-7"), FENCE);
    expect(readFileSync(seen, "utf8")).toBe("1 worker-7 worker-7\n");
  });

  test("V52: start gets the name to give, and what is wanted", async () => {
    const seen = fresh("seen");
    const start = `env | grep ^WORKER_ | sort >${seen}; echo "$1"`;
    const request = contractRequest("n1", { sshKeys: ["k1"], region: "r1" });
    const odd = { ...request.tags, note: "two words" };
    await openTest({ start }).create({ ...request, tags: odd }, FENCE, null);
    const told = readFileSync(seen, "utf8");
    for (const line of [
      "WORKER_NAME=f-train-n1-1",
      "WORKER_NODE=n1",
      "WORKER_POOL=train",
      "WORKER_TYPE=h100x8",
      "WORKER_MARKET=on-demand",
      "WORKER_REGION=r1",
      "WORKER_FLEET=fleet-1",
      "WORKER_PROVIDER=mine",
      "WORKER_SSH_KEYS=k1",
    ]) {
      expect(told).toContain(`${line}\n`);
    }
    expect(told).toContain("navarch-node=n1");
    expect(told).not.toContain("two words");
  });

  test("V52: batch_start gets count and label, and prints as many names", async () => {
    const { provider } = inFolder();
    const names = ["gang-1", "gang-2", "gang-3"].map(id);
    expect(await provider.batchStart(3, "gang")).toEqual({ kind: "ok", names });
    expect(await namesOf(provider)).toEqual(names);
    const few = openTest({ batchStart: "echo one" });
    expect(await few.batchStart(2, "x")).toMatchObject({ kind: "ambiguous" });
    expect(await openTest({}).batchStart(2, "x")).toMatchObject({ kind: "refused" });
    const full = openTest({ batchStart: "exit 69" });
    expect(await full.batchStart(2, "x")).toMatchObject({ kind: "refused", class: "capacity" });
  });

  const starts: [string, string, object][] = [
    ["nothing", "true", { kind: "ambiguous", message: expect.stringContaining("found 0") }],
    ["two names", "echo a; echo b", { kind: "ambiguous" }],
    ["a sentence", "echo Creating the VM", { kind: "ambiguous" }],
    ["an option", "echo -rf", { kind: "ambiguous" }],
    ["another purchase", "echo a navarch-node=n2", { kind: "ambiguous" }],
    ["a name, then fails", "echo w1; exit 3", { kind: "ambiguous" }],
    ["a name, then says no stock", "echo w1; exit 69", { kind: "ambiguous" }],
    ["an error", "echo half a VM >&2; exit 3", { kind: "ambiguous", message: /half a VM/ }],
    ["no stock", "echo sold out >&2; exit 69", { kind: "refused", class: "capacity" }],
    ["no permission", "exit 77", { kind: "refused", class: "auth" }],
    ["what bash cannot read", "if then", { kind: "ambiguous" }],
    ["a signal", "kill -9 $$", { kind: "ambiguous", message: "start: killed by SIGKILL" }],
  ];
  test.each(starts)("V52: a start that prints %s", async (_what, start, expected) => {
    const answer = await openTest({ start }).create(contractRequest("n1"), FENCE, null);
    const { message, ...rest } = expected as { message?: string | RegExp };
    expect(answer).toMatchObject(rest);
    if (message === undefined || !("message" in answer)) return;
    if (message instanceof RegExp) expect(answer.message).toMatch(message);
    else expect(answer.message).toEqual(message);
  });

  test("V52: a script that hangs is ended with its children, and proves nothing", async () => {
    const late = fresh("late");
    const start = `(sleep 2; touch ${late}) & sleep 30; echo w1`;
    const provider = openTest({ start }, { timeoutMs: 300 });
    const answer = await provider.create(contractRequest("n1"), FENCE, null);
    expect(answer).toMatchObject({
      kind: "ambiguous",
      message: "start: no answer within 0.3 s",
    });
    await Bun.sleep(300);
    expect(existsSync(late)).toBe(false);
  });

  test("V52: what a script prints is kept up to 500 characters", async () => {
    const start = `printf 'x%.0s' $(seq 5000) >&2; echo the end >&2; exit 1`;
    const answer = await openTest({ start }).create(contractRequest("n1"), FENCE, null);
    const message = answer.kind === "ambiguous" ? answer.message : "";
    expect(message).toContain("the end");
    expect(message.length).toBeLessThan(600);
  });

  test("V52: what scripts print is kept, its ends alone and without secrets, also in answers", async () => {
    const kept: ScriptRun[] = [];
    const record = {
      mask: (text: string) => text.replaceAll("hunter22", "***"),
      keep: (run: ScriptRun) => Promise.resolve(void kept.push(run)),
    };
    const start = "printf 'x%.0s' $(seq 20000) >&2; echo login hunter22 >&2; echo w1; exit 3";
    const failing = openTest({ start, list: "echo no hunter22; exit 1" }, { record });
    const answer = await failing.create(contractRequest("n1"), FENCE, null);
    expect(JSON.stringify(answer)).not.toContain("hunter22");
    const { detail = "", ...run } = kept[0] ?? {};
    expect(run).toEqual({
      ...{ provider: "mine", script: "start", node: "n1", session: "s1", code: "unknown" },
    } as const);
    expect(detail).toStartWith("exit status 3; printed: w1; stderr: xxx");
    expect(detail).toEndWith("login ***");
    expect(detail.length).toBeLessThan(1_100);
    // A list that goes on failing in the same way has one row; one that works has none.
    await failing.list();
    await failing.list();
    const well = inFolder({ record });
    await well.provider.list();
    const made = await well.provider.create(contractRequest("n2"), FENCE, null);
    if (made.kind === "ok") await well.provider.terminate(made.instance.id, FENCE);
    await openTest({ stop: "exit 75" }, { record }).terminate(id("w2"), FENCE);
    expect(kept.map(({ script, code }) => `${script} ${code}`)).toEqual([
      ...["start unknown", "list unknown", "start ok", "stop ok", "stop refused"],
    ]);
  });

  test("V52: an older leader's late call is refused", async () => {
    const { folder, provider } = inFolder();
    await provider.create(contractRequest("n1"), FENCE, null);
    const late = { ...FENCE, fence: 2 };
    const answer = await provider.create(contractRequest("n1"), late, null);
    expect(answer).toMatchObject({ kind: "refused", class: "stale_fence" });
    const [name = ""] = readdirSync(folder);
    expect(await provider.terminate(id(name), late)).toMatchObject({ class: "stale_fence" });
    expect(readdirSync(folder)).toHaveLength(1);
  });

  const lists: [string, string][] = [
    ["a failure after a name", "echo w1; exit 1"],
    ["a sentence", "echo w1; echo No more workers."],
    ["a name twice", "echo w1; echo w1"],
    ["a path with spaces", "echo 'w 1'"],
  ];
  test.each(lists)("V52: a list with %s is no list", async (_what, list) => {
    expect(await openTest({ list }).list()).toMatchObject({ kind: "failed" });
    expect(await openTest({ list }).inspect([])).toMatchObject([{ outcome: "fail" }]);
  });
});

describe("V52: whose workers", () => {
  const own = nodeIdOf("fleet-1", "train", 3, 12);

  test("V52: a name of Navarch's own tells node, pool, slot and generation", async () => {
    const provider = openTest({ list: `echo ${own}-a2; echo ${own} stopped; echo other-9` });
    const answer = await provider.list();
    const tags = {
      ...{ "navarch-fleet": "fleet-1", "navarch-node": own, "navarch-pool": "train" },
      ...{ "navarch-slot": "3", "navarch-gen": "12" },
    };
    expect(answer).toMatchObject({
      instances: [
        { name: `${own}-a2`, state: "running", tags },
        { name: own, state: "stopped", tags },
        { name: "other-9", tags: {} },
      ],
    });
    // Without a pool in its tags, a worker that no purchase knows is left alone.
    const [, , other] = answer.kind === "ok" ? answer.instances : [];
    expect(other?.tags).toEqual({ "navarch-fleet": "fleet-1" });
  });

  test("V52: a pool's name that was shortened is not guessed", async () => {
    const odd = nodeIdOf("fleet-1", "Train_8", 0, 1);
    const alien = nodeIdOf("fleet-2", "train", 0, 1);
    const answer = await openTest({ list: `echo ${odd}; echo ${alien}` }).list();
    const tags = answer.kind === "ok" ? answer.instances.map((one) => one.tags) : [];
    expect(tags).toEqual([{ "navarch-fleet": "fleet-1" }, { "navarch-fleet": "fleet-1" }]);
  });

  test("V52: names without the prefix, or with another fleet's tags, are left out", async () => {
    const list = "echo gpu-1; echo cpu-1; echo gpu-2 running navarch-fleet=fleet-2";
    const provider = openTest({ list, start: "echo cpu-2" }, { namePrefix: "gpu-" });
    expect(await namesOf(provider)).toEqual(["gpu-1"]);
    expect(await provider.create(contractRequest("n1"), FENCE, null)).toMatchObject({
      kind: "ambiguous",
      message: expect.stringContaining("name_prefix gpu-"),
    });
  });

  test("V52: no text is read as a worker that it does not name", () => {
    const random = seeded(7);
    const letters = [..."ab-=. \t\n\0/$`;"];
    for (let i = 0; i < 2_000; i += 1) {
      const text = Array.from({ length: 12 }, () => letters[Math.floor(random() * 13)]).join("");
      const read = readWorkers(text);
      if (typeof read === "string") continue;
      const lines = text.split("\n").filter((line) => line.trim() !== "");
      expect(read.map((one) => one.id as string)).toEqual(
        lines.map((line) => line.trim().split(/\s+/)[0] ?? ""),
      );
      for (const { id: name } of read) expect(name).toMatch(/^[A-Za-z0-9._:/@][A-Za-z0-9._:/@-]*$/);
    }
  });
});
