/** `navarch sim submit` and `klient` as processes: flags, messages, what they send. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WorkflowEvent } from "../../schema/workflow.ts";
import { navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-submit-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}
const nap = (name: string): string =>
  `name: ${name}\ntasks: [{id: a, type: Sleep, params: {timeout: 1ms}}]\n`;
const [ONE, TWO] = [write("one.yml", nap("one")), write("two.yml", nap("two"))];
const sim = (...args: string[]) => navarch(["sim", ...args]);
const submit = (...args: string[]) => sim("submit", ...args);
const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

type Seen = { path: string; type: string | null; auth: string | null; body: string };

/** A server that answers each POST with the next of these. */
function openServer(answers: readonly (() => Response)[]) {
  const seen: Seen[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const { headers } = request;
      const [type, auth] = [headers.get("content-type"), headers.get("authorization")];
      seen.push({ path: `${pathname}${search}`, type, auth, body: await request.text() });
      return (answers[seen.length - 1] ?? (() => new Response("", { status: 200 })))();
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, seen, stop: () => server.stop(true) };
}

describe("navarch sim submit", () => {
  test("W53: names the argument that is missing", async () => {
    const [none, address, workflow, both] = await Promise.all([
      submit(),
      submit("-workflow", ONE),
      submit("-address", "http://127.0.0.1:1"),
      submit("-address", "http://127.0.0.1:1", "-server", "http://127.0.0.1:1", "-workflow", ONE),
    ]);
    const other = "-address of a navarch sim -port, or -server of a control plane";
    const said = [none, address, workflow, both].map(({ code, err }) => [code, lastLine(err)]);
    expect(said).toEqual([
      [1, `error: missing 'address' argument: give ${other}`],
      [1, `error: missing 'address' argument: give ${other}`],
      [1, "error: missing 'workflow' argument"],
      [1, "error: 'address' and 'server' are mutually exclusive"],
    ]);
    const [bogus, help] = await Promise.all([submit("-bogus"), submit("-h")]);
    expect([bogus.code, lastLine(bogus.err)]).toEqual([2, "flag provided but not defined: -bogus"]);
    expect([help.code, help.out.includes("-address URL")]).toEqual([0, true]);
  });

  test("W1, W53: klient posts each file in order as application/x-yaml, without a token", async () => {
    const server = openServer([]);
    const link = join(folder, "klient");
    symlinkSync(process.execPath, link);
    const main = join(import.meta.dir, "..", "..", "cli", "main.ts");
    const list = join(folder, "{one,two}.yml");
    const child = Bun.spawn([link, main, "--address", server.url, "-workflow", list], {
      env: { PATH: process.env["PATH"] ?? "", HOME: folder, NAVARCH_TOKEN: "nvt.secret" },
      stdout: "pipe",
    });
    expect(await new Response(child.stdout).text()).toBe(
      "Starting workflow one\nStarting workflow two\n",
    );
    expect(await child.exited).toBe(0);
    expect(server.seen).toEqual(
      [nap("one"), nap("two")].map((body) => {
        return { path: "/workflow", type: "application/x-yaml", auth: null, body };
      }),
    );
    await server.stop();
  });

  test("W53: stops at the first answer that is not 200, and shows it", async () => {
    const failed = () => new Response("Sleep/a: broke\n", { status: 500 });
    const server = openServer([() => new Response(""), failed]);
    const { code, err } = await submit("-address", server.url, "-workflow", `${ONE},${TWO},${ONE}`);
    expect(code).toBe(1);
    expect(lastLine(err)).toBe(`error: ${TWO}: 500 Internal Server Error: Sleep/a: broke`);
    expect(server.seen).toHaveLength(2);
    await server.stop();
    const moved = openServer([() => Response.redirect("http://127.0.0.1:1/", 307)]);
    const elsewhere = await submit("-address", `${moved.url}/workflow/`, "-workflow", ONE);
    expect([elsewhere.code, moved.seen.map(({ path }) => path)]).toEqual([1, ["/workflow"]]);
    await moved.stop();
  });

  test("W53: reads every file before it posts the first", async () => {
    const server = openServer([]);
    const broken = write("broken.yml", "name: broken\ntasks: [{id: a, type: Sleeep}]\n");
    const { code, err } = await submit("-address", server.url, "-workflow", `${ONE},${broken}`);
    expect(code).toBe(1);
    expect(lastLine(err)).toContain(`${broken}: unsupported task type "Sleeep"`);
    const missing = await submit("-address", server.url, "-workflow", join(folder, "none.yml"));
    expect(lastLine(missing.err)).toContain("none.yml: no such file or folder");
    expect(server.seen).toEqual([]);
    await server.stop();
  });

  test("W54: sim runs lists what a control plane ran, and sim cancel ends one", async () => {
    const one = { id: "w1", name: "nap", state: "running", submitted_by: "ann", error: null };
    const times = { submitted_at: "2026-11-23T12:00:00Z", duration_ms: 90_000 };
    const server = openServer([
      () => Response.json({ workflows: [{ ...one, ...times }] }),
      () => Response.json(one, { status: 202 }),
      () =>
        Response.json(
          { error: { code: "conflict", message: "workflow w1 has ended" } },
          { status: 409 },
        ),
    ]);
    const at = ["--server", server.url, "--token", "nvt.abc"];
    const runs = await sim("runs", ...at);
    expect(runs.out).toMatch(/^w1 +nap +running +ann +2026-11-23T12:00:00Z +1m30s/m);
    const cancelled = await sim("cancel", "w1", ...at);
    expect([cancelled.code, cancelled.out]).toEqual([0, "Workflow w1: is being cancelled\n"]);
    const over = await sim("cancel", "w1", ...at);
    expect([over.code !== 0, lastLine(over.err)]).toEqual([
      true,
      expect.stringContaining("w1 has ended"),
    ]);
    expect(server.seen.map(({ path }) => path).slice(0, 2)).toEqual([
      "/api/v1/workflows",
      "/api/v1/workflows/w1/cancel",
    ]);
    await server.stop();
  });

  test("W54: a request whose answer is lost is repeated under the same key", async () => {
    const keys: (string | null)[] = [];
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        const { pathname } = new URL(request.url);
        const run = { id: "w1", state: "passed", error: null };
        if (pathname.endsWith("/events"))
          return Response.json({ events: [], dropped: 0, next: 0, ended: true });
        if (pathname.endsWith("/w1")) return Response.json(run);
        keys.push(request.headers.get("idempotency-key"));
        const lost = Response.json(
          { error: { code: "unavailable", message: "no leader" } },
          { status: 503 },
        );
        return keys.length === 1 ? lost : Response.json(run, { status: 202 });
      },
    });
    const url = `http://127.0.0.1:${server.port}`;
    const { code } = await submit(
      "-server",
      url,
      "-token",
      "nvt.abc",
      "-workflow",
      `${ONE},${TWO}`,
    );
    expect([code, keys.length]).toEqual([0, 3]);
    const [first, again, other] = keys;
    expect(first).toMatch(/^sim-[0-9a-f]{32}$/);
    expect(again).toBe(first ?? "");
    expect(other).not.toBe(first ?? "");
    await server.stop(true);
  });

  test("W54: -server sends templates along, follows the output and ends as the run does", async () => {
    write("job.yml", "kind: Job\n");
    const file = write(
      "job-run.yml",
      `name: job
tasks:
- {id: r, type: RegisterObj, params: {template: job.yml}}
- {id: a, type: Sleep, params: {timeout: 1ms}}
`,
    );
    const run = (state: string, error: string | null) => ({ id: "w1", state, error });
    const page = (events: WorkflowEvent[], ended: boolean) =>
      Response.json({ events, dropped: 0, next: events.at(-1)?.seq ?? 0, ended });
    const line = (seq: number, level: "info" | "detail", text: string): WorkflowEvent => {
      return { seq, kind: "line", level, text };
    };
    const server = openServer([
      () => Response.json(run("queued", null), { status: 202 }),
      () => page([line(1, "info", "Starting"), line(2, "detail", "hidden")], false),
      () => page([line(3, "info", "over")], true),
      () => Response.json(run("failed", "Sleep/a: broke")),
    ]);
    const args = ["-server", server.url, "-token", "nvt.abc", "-workflow", file, "-cleanup"];
    const { code, out, err } = await submit(...args);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("\nStarting\nover\n");
    expect(lastLine(err)).toBe(`error: ${file}: failed: Sleep/a: broke`);
    expect(server.seen.map(({ path }) => path)).toEqual([
      "/api/v1/workflows?cleanup=true",
      "/api/v1/workflows/w1/events?after=0&wait_ms=10000",
      "/api/v1/workflows/w1/events?after=2&wait_ms=10000",
      "/api/v1/workflows/w1",
    ]);
    expect(server.seen.every(({ auth }) => auth === "Bearer nvt.abc")).toBe(true);
    expect(JSON.parse(server.seen[0]?.body ?? "")).toMatchObject({
      templates: { "job.yml": "kind: Job\n" },
    });
    await server.stop();
  });
});
