/** Who is in charge of a machine: cuts, resumption, older and newer runs, orders to stop. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { say, isAlive, makePorts, readLines, until } from "../../test/fixture/ssh/job-fake.ts";
import { RunBed } from "../../test/fixture/ssh/run-bed.ts";

const bed = new RunBed();
const { connect, fresh, job, run } = bed;

beforeAll(() => bed.open());
afterAll(() => bed.close());

describe("runBootstrap() and who is in charge", () => {
  test("is cut at each of its calls in turn, and ends as if it never was", async () => {
    const own = await bed.openPeer();
    const [log, source] = [fresh("log"), fresh("agent")];
    writeFileSync(source, "an agent");
    const sha256 = createHash("sha256").update("an agent").digest("hex");
    const binary = { url: "", sha256, path: source };
    for (let calls = 1; ; calls++) {
      const target = join(fresh("bin"), "navarch-node");
      const commands = [0, 1].map((index) => `echo ${calls}.${index} >>${log}; echo done`);
      const given = job(
        {
          commands,
          agent: { x64: binary, arm64: binary },
          pushTo: target,
          credential: { path: `${target}.token`, value: "nvn.secret" },
        },
        own,
      );
      own.cutAfter = calls;
      const cut = await run(given);
      own.cutAfter = null;
      if (cut.kind === "done") {
        // All of its calls came before: look, claim, credential, have, push, two commands.
        expect(calls).toBe(8);
        break;
      }
      expect(say(cut)).toMatch(/^lost, later: /);
      expect(say(await run({ ...given, attempt: 2 }))).toBe("done");
      expect(readFileSync(target, "utf8")).toBe("an agent");
      expect(readFileSync(`${target}.token`, "utf8")).toBe("nvn.secret\n");
      const ran = readLines(log).filter((line) => line.startsWith(`${calls}.`));
      expect([...new Set(ran)]).toEqual([`${calls}.0`, `${calls}.1`]);
      // The one that was under way may have to run again, no other does.
      expect(ran.length).toBeLessThanOrEqual(3);
    }
    await own.close();
  });

  test("refuses to go on under an older epoch or attempt, without touching anything", async () => {
    const log = fresh("log");
    const given = job({ epoch: 7, attempt: 2, commands: [`echo first >>${log}`] });
    expect(say(await run(given))).toBe("done");
    for (const old of [
      { epoch: 6, attempt: 9 },
      { epoch: 7, attempt: 1 },
    ]) {
      const token = fresh("token");
      const stale = { ...given, ...old, commands: [`echo stale >>${log}`] };
      const outcome = await run({ ...stale, credential: { path: token, value: "nvn.old-one" } });
      expect(say(outcome)).toMatch(/^stale: the machine follows epoch 7, attempt 2; ours is/);
      expect(outcome.attempt.state).toBe("interrupted");
      expect(existsSync(token)).toBe(false);
    }
    expect(readLines(log)).toEqual(["first"]);
    expect(say(await run({ ...given, epoch: 8, attempt: 1 }))).toBe("done");
  });

  test("ends what an older run has under way, and the older run learns of it", async () => {
    const pids = fresh("pids");
    const given = job({ commands: [`echo $$ >>${pids}; [ $(wc -l <${pids}) -gt 1 ] || sleep 60`] });
    const older = run(given);
    await until("the older command runs", () => readLines(pids).length === 1);
    const newer = await run({ ...given, epoch: 2 });
    expect(say(newer)).toBe("done");
    // Its command died under it; it could not have begun another one.
    expect(say(await older)).toMatch(/^(command, later: .*exit 143|stale)/);
    expect(readLines(pids)).toHaveLength(2);
    expect(readLines(pids).filter(isAlive)).toEqual([]);
  });

  test("begins nothing after a newer claim", async () => {
    const [log, gate, token] = [fresh("log"), fresh("gate"), fresh("token")];
    const commands = [
      `echo a >>${log}; while [ ! -e ${gate} ]; do sleep 0.05; done`,
      `echo b >>${log}`,
    ];
    const given = job({ commands });
    const older = run(given);
    await until("the older command runs", () => readLines(log).length === 1);
    // A fence written by hand: a newer claim that has not yet ended the old command.
    const fence = readLines(await findFence(given.markDirectory));
    expect(fence[0]).toMatch(/^1 1 [0-9a-f-]{36}$/);
    writeFileSync(await findFence(given.markDirectory), "2 1 another\n");
    writeFileSync(gate, "");
    expect(say(await older)).toMatch(/^stale: the machine follows a newer epoch/);
    expect(readLines(log)).toEqual(["a"]);
    expect(existsSync(token)).toBe(false);
  });

  const reasons: ["interrupted" | "cancelled" | undefined, string][] = [
    ["cancelled", "cancelled"],
    ["interrupted", "interrupted"],
    [undefined, "interrupted"],
  ];
  for (const [reason, state] of reasons) {
    test(`ends its command when told ${reason ?? "nothing"}`, async () => {
      const pids = fresh("pids");
      const stop = new AbortController();
      const commands = [`echo $$ >>${pids}; sleep 60`];
      const running = run(job({ commands }), makePorts(connect), stop.signal);
      await until("the command runs", () => readLines(pids).length === 1);
      stop.abort(reason);
      const outcome = await running;
      expect(`${outcome.kind} ${outcome.attempt.state}`).toBe(`${state} ${state}`);
      expect(readLines(pids).filter(isAlive)).toEqual([]);
    });
  }
});

async function findFence(markDirectory: string): Promise<string> {
  const [found] = [...new Bun.Glob("*/fence").scanSync({ cwd: markDirectory })];
  return join(markDirectory, found ?? "no fence");
}
