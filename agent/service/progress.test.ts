/** When an agent counts as stuck, and what its service manager then hears, on a stepped clock. */
import { describe, expect, test } from "bun:test";
import type { Report, ReportReply } from "../../schema/report.ts";
import type { Notice } from "../../systemd/notify.ts";
import { openFakeNvml } from "../../test/fixture/nvml/fake.ts";
import type { Clock, SendAnswer, Sender } from "../port/port.ts";
import type { AgentView } from "../report/view.ts";
import { startWatchdog, formatStatus } from "./watchdog.ts";
import { Progress } from "./progress.ts";

class StepClock implements Clock {
  now = 0;
  #work: { at: number; work: () => void }[] = [];
  wallMs = () => this.now;
  monoMs = () => this.now;
  after(ms: number, work: () => void): () => void {
    const entry = { at: this.now + ms, work };
    this.#work.push(entry);
    return () => (this.#work = this.#work.filter((each) => each !== entry));
  }
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = this.#work.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#work = this.#work.filter((each) => each !== next);
      this.now = next.at;
      next.work();
    }
    this.now = end;
  }
}

const CONFIG = { heartbeat_ms: 30_000, sample_ms: 10_000, check_ms: 60_000 };
const reply = (config = CONFIG) => ({ config }) as ReportReply;

/** An agent's two ports behind its progress, with nobody driving them but the test. */
function world() {
  const clock = new StepClock();
  const progress = new Progress(clock);
  const nvml = openFakeNvml();
  const probe = progress.followNvml(nvml);
  let answer: (answer: SendAnswer) => void = () => {};
  let push: (reply: ReportReply) => void = () => {};
  const sender: Sender = progress.followSender({
    send: () => new Promise((resolve) => (answer = resolve)),
    listen: (heard) => (push = heard),
    connected: () => true,
    close: () => {},
  });
  sender.listen(() => {});
  return {
    clock,
    progress,
    nvml,
    probed: () => probe.sample(1),
    begin: () => void sender.send({} as Report),
    end: async (one: SendAnswer) => {
      answer(one);
      await Promise.resolve();
      await Promise.resolve();
    },
    push: (config: typeof CONFIG) => push(reply(config)),
  };
}

describe("Progress.stuck()", () => {
  test("is not impressed by a driver that hangs and a control plane that is away", async () => {
    const { clock, progress, nvml, probed, begin, end } = world();
    nvml.set({ kind: "unresponsive", evidence: "D", abandoned: 1 });
    for (let at = 0; at < 3_600_000; at += 15_000) {
      await probed();
      begin();
      clock.pass(10_000);
      await end({ kind: "unreachable", message: "refused" });
      clock.pass(5_000);
      expect(progress.stuck()).toBeNull();
    }
    expect(progress.lastAnswer).toBe("unreachable");
  });

  test("finds a probe loop that stands still", async () => {
    const { clock, progress, nvml, probed, begin, end } = world();
    begin();
    await end({ kind: "reply", reply: reply() });
    nvml.hold();
    void probed();
    clock.pass(33_000);
    expect(progress.stuck()).toBeNull();
    clock.pass(1);
    expect(progress.stuck()).toBe("no probe for 33 s");
    nvml.release();
    await probed();
    expect(progress.stuck()).toBeNull();
  });

  test("finds a report that never ends, and a sender that never tries", async () => {
    const { clock, progress, probed, begin, end } = world();
    begin();
    clock.pass(50_001);
    await probed();
    expect(progress.stuck()).toBe("a report is under way for 50 s");
    await end({ kind: "unauthorized", message: "401" });
    expect(progress.stuck()).toBeNull();
    for (let at = 0; at <= 100_000; at += 20_000) {
      await probed();
      clock.pass(20_000);
    }
    expect(progress.stuck()).toBe("no report was sent for 120 s");
  });

  test("allows what the control plane has ordered, from the moment it has", async () => {
    const { clock, progress, probed, begin, end, push } = world();
    begin();
    await end({ kind: "reply", reply: reply({ ...CONFIG, sample_ms: 600_000_000 }) });
    // The agent takes ten minutes for it, and so does the judge.
    for (let at = 0; at < 600_000; at += 60_000) {
      clock.pass(60_000);
      begin();
      await end({ kind: "reply", reply: reply({ ...CONFIG, sample_ms: 600_000 }) });
      expect(progress.stuck()).toBeNull();
    }
    // Back to ten seconds: the loop that rested by order is not late at once.
    push(CONFIG);
    expect(progress.stuck()).toBeNull();
    clock.pass(34_000);
    expect(progress.stuck()).toStartWith("no probe");
    await probed();
    expect(progress.stuck()).toBeNull();
  });
});

const VIEW = {
  simulated: false,
  gpus: [],
  unresponsive: false,
  spool: { depth: 0 },
} as unknown as AgentView;

function attended(watchdogMs: number | null) {
  const heard: Notice[] = [];
  const state = { full: false, errors: 0 };
  const notify = (notice: Notice): boolean => {
    if (!state.full) heard.push(notice);
    return !state.full;
  };
  const { clock, progress, probed } = world();
  const log = () => void state.errors++;
  const view = () => VIEW;
  const parts = { manager: { watchdogMs, notify }, clock, progress, view, log };
  const watchdog = startWatchdog(parts);
  return { heard, state, clock, probed, watchdog, fed: () => count(heard) };
}
const count = (heard: Notice[]) => heard.filter((one) => one.watchdog).length;

describe("attend()", () => {
  test("stops feeding when the agent is stuck, and begins again when it gets on", async () => {
    const { state, clock, probed, fed } = attended(30_000);
    expect(fed()).toBe(1);
    clock.pass(30_000);
    expect(fed()).toBe(4);
    clock.pass(60_000);
    expect(fed()).toBe(4);
    expect(state.errors).toBe(6);
    await probed();
    clock.pass(10_000);
    expect(fed()).toBe(5);
  });

  test("is ready once, and says so again only if nobody heard it", () => {
    const { heard, state, clock, watchdog } = attended(null);
    expect(heard.filter((one) => one.ready)).toEqual([]);
    state.full = true;
    watchdog.ready();
    clock.pass(0);
    state.full = false;
    clock.pass(60_000);
    expect(heard.filter((one) => one.ready)).toHaveLength(1);
    expect(count(heard)).toBe(0);
  });

  test("says nothing after the goodbye", () => {
    const { heard, clock, watchdog } = attended(30_000);
    watchdog.stop();
    clock.pass(600_000);
    expect(heard.at(-1)).toEqual({ stopping: true, status: "sending the last report" });
  });
});

describe("formatStatus()", () => {
  test("says what is watched, who listens and what waits", () => {
    const view = (more: object) => ({ ...VIEW, ...more }) as AgentView;
    expect(formatStatus(VIEW, null)).toBe("0 GPUs; nothing reported yet");
    expect(formatStatus(view({ gpus: [{}], simulated: true }), "reply")).toBe(
      "1 simulated GPU; reporting",
    );
    expect(formatStatus(view({ unresponsive: true, spool: { depth: 3 } }), "unreachable")).toBe(
      "the driver does not answer; the control plane is unreachable, 3 findings kept",
    );
  });
});
