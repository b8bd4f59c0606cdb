import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { MetadataServer, type Word } from "../../test/fixture/cloud/metadata-server.ts";
import type { Clock } from "../port/port.ts";
import { openEc2Notice, openGceNotice } from "./metadata.ts";
import { type NoticeAnswer, NoticeWatch, POLL_MS, RARE_MS } from "./notice.ts";

const server = new MetadataServer();
afterAll(() => server.stop());
beforeEach(() => {
  server.word = { kind: "nothing" };
  server.disabled = false;
  server.asked.splice(0);
});

let laterMs = 0;
const clock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now() + laterMs,
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};
const base = () => new URL(`http://${server.host}`);
const text = (words: string): Word => ({ kind: "text", text: words });
const TOKEN = "PUT /latest/api/token";
const ACTION = "GET /latest/meta-data/spot/instance-action";

describe("openEc2Notice()", () => {
  test("asks with one token until it is old or refused, and reads the announced end", async () => {
    const ask = openEc2Notice(base(), clock);
    expect(await ask()).toEqual({ kind: "nothing" });
    expect(await ask()).toEqual({ kind: "nothing" });
    expect(server.asked).toEqual([TOKEN, ACTION, ACTION]);
    const time = "2026-11-23T08:22:00Z";
    server.word = text(JSON.stringify({ action: "terminate", time }));
    const message = "EC2 Spot interruption: terminate";
    const notice = { kind: "preemption" as const, at: time, message };
    expect(await ask()).toEqual({ kind: "notice", notice });
    server.forgetTokens();
    expect(await ask()).toMatchObject({ kind: "silent" });
    expect(await ask()).toEqual({ kind: "notice", notice });
    server.asked.splice(0);
    laterMs += 4 * 3_600_000;
    expect(await ask()).toEqual({ kind: "notice", notice });
    expect(server.asked).toEqual([TOKEN, ACTION]);
  });

  test("takes an end whose time is unreadable as one without a time", async () => {
    const ask = openEc2Notice(base(), clock);
    for (const time of ["soon", 5, "2026-02-31T99:00:00Z", null]) {
      server.word = text(JSON.stringify({ action: "stop", time }));
      expect(await ask()).toMatchObject({ kind: "notice", notice: { at: null } });
    }
  });

  test.each(["", "null", "[]", "{", '{"action":"rebalance"}', '{"action":["terminate"]}', "TRUE"])(
    "takes %p for no notice",
    async (words) => {
      server.word = text(words);
      expect(await openEc2Notice(base(), clock)()).toMatchObject({ kind: "unread" });
    },
  );

  test("is silent where the service gives no token", async () => {
    server.disabled = true;
    server.word = text('{"action":"terminate"}');
    expect(await openEc2Notice(base(), clock)()).toMatchObject({ kind: "silent" });
    expect(server.asked).toEqual([TOKEN]);
  });
});

describe("openGceNotice()", () => {
  test("reads TRUE and FALSE, and nothing else", async () => {
    const ask = openGceNotice(base(), clock);
    expect(await ask()).toEqual({ kind: "nothing" });
    server.word = text("TRUE\n");
    expect(await ask()).toMatchObject({ kind: "notice", notice: { at: null } });
    for (const words of ["", "true", "TRUE FALSE", "<html>"]) {
      server.word = text(words);
      expect(await ask()).toMatchObject({ kind: "unread" });
    }
  });

  test("believes no other service", async () => {
    using other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("TRUE") });
    const ask = openGceNotice(new URL(`http://127.0.0.1:${other.port}`), clock);
    expect(await ask()).toMatchObject({ kind: "silent" });
  });
});

describe.each([
  ["openEc2Notice", openEc2Notice],
  ["openGceNotice", openGceNotice],
] as const)("%s()", (_, open) => {
  test.each(["hang", "redirect", "huge"] as const)(
    "is silent on a %s, within a second",
    async (kind) => {
      server.word = { kind };
      const startMs = performance.now();
      expect(await open(base(), clock)()).toMatchObject({ kind: "silent" });
      expect(performance.now() - startMs).toBeLessThan(2_000);
      expect(server.strayed).toBe(0);
    },
  );

  test("is silent where nothing listens", async () => {
    expect(await open(new URL("http://127.0.0.1:9"), clock)()).toMatchObject({ kind: "silent" });
  });
});

describe("NoticeWatch", () => {
  /** The waits between the answers, what was told, and what was logged. */
  async function watch(answers: NoticeAnswer[]) {
    const out = { waits: [] as number[], told: 0, logs: [] as string[] };
    const left = [...answers];
    let next: (() => void) | null = null;
    const made = new NoticeWatch({
      ask: async () => left.shift() ?? { kind: "nothing" },
      clock: {
        after(ms, work) {
          out.waits.push(ms);
          next = work;
          return () => undefined;
        },
      },
      log: (level, _message, fields) => void out.logs.push(`${level} ${fields?.["reason"] ?? ""}`),
    });
    await made.start(() => void out.told++);
    while (left.length > 0) {
      (next as (() => void) | null)?.();
      await Bun.sleep(0);
    }
    return { ...out, watch: made };
  }
  const silent = { kind: "silent", why: "no route" } as const;
  const end = (at: string | null): NoticeAnswer => {
    return { kind: "notice", notice: { kind: "preemption", at, message: "m" } };
  };

  test("asks a silent service once a minute, says so once, and one that answers every 5 s", async () => {
    const { waits, logs } = await watch([silent, silent, silent, silent, { kind: "nothing" }]);
    expect(waits).toEqual([POLL_MS, POLL_MS, RARE_MS, RARE_MS, POLL_MS]);
    expect(logs).toEqual(["info no route"]);
  });

  test("tells each notice once, keeps it while the service is silent, and forgets a withdrawn one", async () => {
    const at = "2026-11-23T08:22:00Z";
    const kept = await watch([end(at), end(at), silent, { kind: "unread", why: "odd" }]);
    expect([kept.told, kept.watch.notice?.at]).toEqual([1, at]);
    const withdrawn = await watch([end(at), { kind: "nothing" }]);
    expect([withdrawn.told, withdrawn.watch.notice]).toEqual([1, null]);
    expect((await watch([end(at), { kind: "nothing" }, end(at)])).told).toBe(2);
  });
});
