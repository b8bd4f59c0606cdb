/** `navarch sim workflow` as a process: its flags, its messages and its exit statuses. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { navarch, startReading } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-workflow-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string): string {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
  return join(folder, path);
}

/** A server on which nothing listens: the workflows here send nothing. */
const config = (server: string): string => `apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "${server}"}}]
users: [{name: u, user: {token: abc}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
`;
const KUBECONFIG = write("kubeconfig", config("http://127.0.0.1:1"));
const quick = write(
  "quick.yml",
  "name: quick\ntasks: [{id: a, type: Sleep, params: {timeout: 1ms}}]",
);
const run = (args: readonly string[], input = "") =>
  navarch(["sim", ...args], { KUBECONFIG }, input);
const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

describe("navarch sim -workflow", () => {
  test("W1: is what the program does under the name knavigator", async () => {
    const link = join(folder, "knavigator");
    symlinkSync(process.execPath, link);
    const main = join(import.meta.dir, "..", "..", "cli", "main.ts");
    const child = Bun.spawn([link, main, "-workflow", quick, "-v", "4", "-cleanup"], {
      env: { PATH: process.env["PATH"] ?? "", HOME: folder, KUBECONFIG },
      stderr: "pipe",
    });
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stderr).text()).toContain("Task Sleep/a completed in");
  });

  test("W3: an unknown flag shows the usage and ends with 2", async () => {
    const { code, out, err } = await run(["-bogus"]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("-cleanup.timeout T");
    expect(lastLine(err)).toBe("flag provided but not defined: -bogus");
  });

  test("W4: needs a workflow or a port, and not both; -h shows the usage", async () => {
    const [neither, both, help] = await Promise.all([
      run([]),
      run(["-workflow", "x", "-port", "1"]),
      run(["-h"]),
    ]);
    expect([neither.code, lastLine(neither.err)]).toEqual([1, "must specify 'workflow' or 'port'"]);
    expect([both.code, lastLine(both.err)]).toEqual([
      1,
      "'workflow' and 'port' are mutually exclusive",
    ]);
    expect([help.code, help.err]).toEqual([0, ""]);
    for (const flag of [
      "workflow",
      "port",
      "cleanup",
      "cleanup.timeout",
      "kubeconfig",
      "kubectx",
      "kube-api-qps",
      "kube-api-burst",
      "v",
      "strict",
      "dry-run",
      "report",
      "seed",
      "taint",
    ]) {
      expect(help.out).toContain(`  -${flag}`);
    }
    expect(help.out.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  test("W6, W7: reports each task, and ends with 0", async () => {
    const { code, out, err } = await run(["-workflow", quick]);
    expect({ code, out }).toEqual({ code: 0, out: "" });
    expect(err.replaceAll(/\d+ms/g, "Nms").split("\n")).toEqual([
      `Starting workflow "quick" (${quick})`,
      "Starting task Sleep/a",
      "Task Sleep/a completed in Nms",
      "1 task completed in Nms",
      "",
    ]);
  });

  test("W6: files that cannot be read end with 1, the error last and in one line", async () => {
    const [brace, missing, empty, bad] = await Promise.all([
      run(["-workflow", "w/{a,b"]),
      run(["-workflow", `${quick},/nosuch/a.yml`]),
      run(["-workflow", " , "]),
      run(["-workflow", `${quick},${write("bad.yml", "name: bad\ntasks: [{id: a, type: Slep}]")}`]),
    ]);
    expect([brace, missing, empty, bad].map(({ code, err }) => [code, err])).toEqual([
      [1, 'error: unbalanced braces in "w/{a,b"\n'],
      [1, "error: /nosuch/a.yml: no such file or folder\n"],
      [1, "error: empty filepaths\n"],
      [
        1,
        `error: ${join(folder, "bad.yml")}: unsupported task type "Slep": did you mean "Sleep"?\n`,
      ],
    ]);
  });

  test("W6: an id of several lines leaves the error in one", async () => {
    const odd = write(
      "odd.yml",
      'name: "a\\nb"\ntasks: [{id: "c\\n\\rd", type: Sleep, params: {timeout: 5}}]',
    );
    const { code, err } = await run(["-workflow", odd]);
    expect([code, err.split("\n").length]).toEqual([1, 2]);
    expect(err).toStartWith(`error: ${odd}: Sleep/c; d: failed to parse parameters`);
  });

  test("W12: a folder is its regular files in the order of their names", async () => {
    for (const name of ["b.yml", "a.yml", "c/d.yml"]) {
      write(`many/${name}`, `name: ${name}\ntasks: [{id: x, type: Sleep, params: {timeout: 0s}}]`);
    }
    const { err } = await run(["-workflow", ` ${join(folder, "many")} , ${quick}`]);
    const names = [...err.matchAll(/Starting workflow "([^"]*)"/g)].map(([, name]) => name);
    expect(names).toEqual(["a.yml", "b.yml", "quick"]);
  });

  test("W15: -report writes what each task took; another extension is refused before", async () => {
    const path = join(folder, "r.xml");
    const [ok, bad, missing] = await Promise.all([
      run(["-workflow", quick, "-report", path]),
      run(["-workflow", quick, "-report", "r.txt"]),
      run(["-workflow", quick, "-report", "/nosuch/r.xml"]),
    ]);
    expect(ok.code).toBe(0);
    expect(readFileSync(path, "utf8")).toContain('<testsuites tests="1" failures="0"');
    expect([bad, missing].map(({ code, err }) => [code, err])).toEqual([
      [1, "error: -report r.txt: expected the ending .xml, .json, .html\n"],
      [1, "error: /nosuch: no such file or folder\n"],
    ]);
  });

  test("W2: words after the flags are named, since a shell may have expanded the braces", async () => {
    const { code, err } = await run(["-workflow", quick, "other.yml", "-cleanup"]);
    expect(code).toBe(0);
    expect(err).toStartWith(
      'warning: flags end at "other.yml"; it and what follows it are not read',
    );
  });

  test("W33: Pause reads one line of standard input, and goes on once it is closed", async () => {
    const two = write(
      "pause.yml",
      "name: p\ntasks: [{id: a, type: Pause}, {id: b, type: Pause}, {id: c, type: Pause}]",
    );
    const { code, out, err } = await run(["-workflow", two], "\n\n");
    expect([code, err.match(/completed/g)?.length]).toEqual([0, 4]);
    expect(out).toBe("-> Press 'Return' key to continue.\n".repeat(3));
  });

  test.each(["2>&1 |", "2>&1 >/dev/null |"])("W9: %s head -1 does not end a run early", (pipe) => {
    const three = write(
      "three.yml",
      "name: t\ntasks: [{id: a, type: Sleep, params: {timeout: 300ms}}, {id: b, type: Pause}, {id: c, type: Sleep, params: {timeout: 100ms}}]",
    );
    const path = join(folder, "piped.json");
    const main = join(import.meta.dir, "..", "..", "cli", "main.ts");
    const line = `"${process.execPath}" ${main} sim -workflow ${three} -report ${path} </dev/null`;
    const script = `{ ${line}; echo $? >${folder}/status; } ${pipe} head -1`;
    const env = { PATH: process.env["PATH"] ?? "", HOME: folder, KUBECONFIG };
    rmSync(path, { force: true });
    Bun.spawnSync(["sh", "-c", script], { env });
    expect(readFileSync(join(folder, "status"), "utf8")).toBe("0\n");
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ status: "passed" });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("W6: %s ends the run with %d, and names the task", async (signal, status) => {
    const long = write("long.yml", "name: l\ntasks: [{id: a, type: Sleep, params: {timeout: 1h}}]");
    const { child, said, until } = startReading(["sim", "-workflow", long], { KUBECONFIG });
    await until(() => said.err.includes("Starting task Sleep/a"), "the task starts");
    child.kill(signal);
    expect(await child.exited).toBe(status);
    await until(() => said.err.includes("error:"), "the error is read");
    expect(lastLine(said.err)).toBe(`error: ${long}: Sleep/a: interrupted`);
  });
});

describe("W5: credentials of navarch sim", () => {
  const other = write("other", config("http://127.0.0.1:2").replaceAll("here", "there"));
  const pods = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" };

  test("an unknown context is named", async () => {
    const { code, err } = await run(["-kubectx", "nosuch", "-workflow", quick]);
    expect([code, lastLine(err)]).toEqual([
      1,
      `error: ${KUBECONFIG}: no kubecontext "nosuch"; it has "here"`,
    ]);
  });

  test("a list of files is merged, and -kubeconfig wins over all", async () => {
    const list = { KUBECONFIG: `${KUBECONFIG}:${other}:/nosuch`, ...pods };
    const args = ["sim", "-workflow", quick];
    const [merged, only, explicit] = await Promise.all([
      navarch([...args, "-kubectx", "there"], list),
      navarch([...args, "-kubeconfig", other, "-kubectx", "here"], list),
      navarch([...args, "-kubeconfig", other], { ...pods }),
    ]);
    expect([merged.code, explicit.code]).toEqual([0, 0]);
    expect(lastLine(only.err)).toBe(
      `error: ${other}: no kubecontext "here"; did you mean "there"?`,
    );
  });

  test("without any the message says what to pass", async () => {
    const { code, err } = await navarch(["sim", "-workflow", quick]);
    expect([code, lastLine(err)]).toEqual([
      1,
      "error: no cluster is configured: pass -kubeconfig FILE or -kubectx NAME, or set KUBECONFIG",
    ]);
  });

  test.each([
    ["-kube-api-qps=0", "'kube-api-qps' must be a positive number"],
    ["-kube-api-burst=0", "'kube-api-burst' must be at least 1"],
    ["-cleanup.timeout=0s", "'cleanup.timeout' must be above 0"],
  ])("%s is refused", async (flag, message) => {
    const { code, err } = await run(["-workflow", quick, flag]);
    expect([code, lastLine(err)]).toEqual([1, `error: ${message}`]);
  });
});
