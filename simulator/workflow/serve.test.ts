import { afterEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { QUEUE_MAX, type WorkflowRuns } from "../../reconciler/runtime/workflow/runs.ts";
import { LIMIT } from "../../schema/limit.ts";
import { openHandRunner, openNoRecord } from "../../test/world/rehearsal.ts";
import { type Serving, serveWorkflows } from "./serve.ts";

const open: { serving: Serving; runs: WorkflowRuns }[] = [];
afterEach(async () => {
  for (const { serving, runs } of open.splice(0)) {
    await runs.close(1_000);
    await serving.stop();
  }
});

function setUp() {
  const runner = openHandRunner();
  const runs = openNoRecord(runner);
  const serving = serveWorkflows({ host: "127.0.0.1", port: 0, runs });
  open.push({ serving, runs });
  const url = `http://127.0.0.1:${serving.port}/workflow`;
  const post = async (body: string | Uint8Array<ArrayBuffer>, more: RequestInit = {}) => {
    const answer = await fetch(url, { method: "POST", body, ...more });
    return { status: answer.status, text: await answer.text() };
  };
  /** Waits until so many runs have begun. */
  const begun = async (count: number) => {
    while (runner.begun.length < count) await Bun.sleep(2);
  };
  const states = () =>
    runs
      .list()
      .reverse()
      .map(({ state }) => state);
  return { runner, runs, url, post, begun, states, port: serving.port };
}

test("W52: 200 with an empty body after a run, 500 with the error of one that failed", async () => {
  const { post, runner, begun } = setUp();
  const passing = post("Sleep a");
  await begun(1);
  runner.begun[0]?.end(null);
  expect(await passing).toEqual({ status: 200, text: "" });
  const failing = post("Sleep a");
  await begun(2);
  runner.begun[1]?.end("Sleep/a: context deadline exceeded");
  expect(await failing).toEqual({ status: 500, text: "Sleep/a: context deadline exceeded\n" });
});

test("W52: other methods, bad YAML, schema errors and other paths have their own answers", async () => {
  const { url, post, runner } = setUp();
  for (const method of ["GET", "PUT", "DELETE", "PATCH"]) {
    const answer = await fetch(url, { method });
    expect([method, answer.status]).toEqual([method, 405]);
    expect(await answer.text()).toBe("Invalid request method\n");
    expect(answer.headers.get("allow")).toBe("POST");
  }
  expect((await fetch(url, { method: "HEAD" })).status).toBe(405);
  expect(await post("a!")).toEqual({
    status: 400,
    text: "Invalid YAML format\nline 1: found !\n",
  });
  expect(await post(new Uint8Array([0xff, 0xfe]))).toMatchObject({ status: 400 });
  expect(await post("")).toEqual({ status: 400, text: "test  has no tasks\n" });
  expect((await fetch(url.replace("workflow", "none"))).status).toBe(404);
  expect((await fetch(url.replace("workflow", "healthz"))).status).toBe(200);
  expect(runner.begun).toEqual([]);
});

test("W52: a body that is too large, or cut off, is refused; nothing runs", async () => {
  const { post, runner, port } = setUp();
  const large = await post("a".repeat(LIMIT.requestBytesMax + 1));
  expect(large.status).toBe(413);
  const cut = await new Promise<string>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.write("POST /workflow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nSleep a");
      setTimeout(() => socket.destroy(), 50);
    });
    socket.on("close", () => resolve("closed"));
  });
  expect(cut).toBe("closed");
  await Bun.sleep(50);
  expect(runner.begun).toEqual([]);
});

test("W52: runs wait for each other, and a full queue says so", async () => {
  const { post, runner, begun, states } = setUp();
  const posts = [post("Sleep 0")];
  await begun(1);
  for (let i = 1; i <= QUEUE_MAX; i++) posts.push(post(`Sleep ${i}`));
  while (states().length <= QUEUE_MAX) await Bun.sleep(2);
  expect(states().filter((state) => state === "running")).toHaveLength(1);
  expect(await post("Sleep late")).toMatchObject({
    status: 429,
    text: expect.stringContaining(`${QUEUE_MAX} workflows wait already`),
  });
  for (let i = 0; i <= QUEUE_MAX; i++) {
    await begun(i + 1);
    runner.begun[i]?.end(null);
  }
  expect((await Promise.all(posts)).every(({ status }) => status === 200)).toBe(true);
});

test("W52: a client that leaves takes back what waits, and not what runs", async () => {
  const { post, runner, begun, states, runs } = setUp();
  const [first, second] = [new AbortController(), new AbortController()];
  const gone = post("Sleep a", { signal: first.signal }).catch(() => "left");
  await begun(1);
  const waiting = post("Sleep b", { signal: second.signal }).catch(() => "left");
  while (states().length < 2) await Bun.sleep(2);
  first.abort();
  second.abort();
  expect(await Promise.all([gone, waiting])).toEqual(["left", "left"]);
  while (states()[1] !== "cancelled") await Bun.sleep(2);
  expect(states()).toEqual(["running", "cancelled"]);
  expect(runs.get("w2")?.run.error).toContain("its client, which left");
  runner.begun[0]?.end(null);
  while (states()[0] !== "passed") await Bun.sleep(2);
  expect(runner.begun).toHaveLength(1);
});

test("W52: a web page of another site, or of a rebound name, starts nothing", async () => {
  const { post, runner } = setUp();
  for (const headers of [
    { Origin: "http://evil.example" },
    { Origin: "null" },
    { "Sec-Fetch-Site": "same-origin" },
  ] as Record<string, string>[]) {
    const answer = await post("Sleep a", { headers: { ...headers, "Content-Type": "text/plain" } });
    expect(answer.status).toBe(403);
  }
  expect(runner.begun).toEqual([]);
});

test("W52: the end of the server ends the run, and its client learns why", async () => {
  const { post, begun, runs } = setUp();
  const running = post("Sleep a");
  await begun(1);
  await runs.close(1_000);
  expect(await running).toEqual({
    status: 500,
    text: "cancelled by the end of this process: interrupted\n",
  });
  expect((await post("Sleep b")).status).toBe(500);
});
