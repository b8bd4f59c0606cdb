import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VERSION } from "../schema/version.ts";
import { NO_AGENTS, readAgentFile, readOwnAgents } from "./agent-file.ts";
import { readFlags } from "./flag.ts";
import { GLOBAL_FLAGS } from "./global-flag.ts";
import { HOST_FLAGS, readHostFlags } from "./host-flag.ts";
import { addressOf, type Given, makeJob, needsAgent, needsServer, pickAgents } from "./host-job.ts";
import { readHostScript } from "./host-script.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-job-"));
afterAll(() => rmSync(folder, { recursive: true }));

function given(line: string, more: Partial<Given> = {}): Given {
  const parsed = readFlags([...GLOBAL_FLAGS, ...HOST_FLAGS], line.split(" "), {});
  if (!parsed.ok) throw new Error(parsed.message);
  const request = readHostFlags(parsed.flags, {});
  if (!request.ok) throw new Error(request.message);
  const script = readHostScript(request.value.templates, request.value.files);
  if (!script.ok) throw new Error(script.message);
  return {
    request: request.value,
    script: script.value,
    privateKey: "key",
    hostKey: { kind: "first-use" },
    jump: null,
    server: null,
    ca: null,
    agents: NO_AGENTS,
    joinToken: null,
    slurm: { files: [], probe: null },
    ...more,
  };
}

/** The first bytes of a program for one kind of machine. */
function program(name: string, machine: number): string {
  const head = Buffer.alloc(64);
  head.write("\x7fELF", "latin1");
  head.writeUInt16LE(machine, 18);
  const path = join(folder, name);
  writeFileSync(path, head);
  return path;
}

const LINE = "--host 10.0.0.7 --template agent --pool training";

describe("makeJob()", () => {
  test("places a join token where the unit looks, and takes it for no credential", () => {
    const job = makeJob(given(LINE, { joinToken: "nvj.x", ca: "PEM" }));
    expect(job.credential).toEqual({ path: "/etc/navarch-node/join-token", value: "nvj.x" });
    expect(job.ca).toEqual({ path: "/etc/navarch-node/ca.pem", pem: "PEM" });
    expect(job.values).toMatchObject({ NodeID: "10.0.0.7", Pool: "training", TokenFile: "" });
    expect(makeJob(given(LINE)).credential).toBeNull();
  });

  test("is the same machine and the same run each time, with marks that are found again", () => {
    const [one, two] = [makeJob(given(LINE)), makeJob(given(`${LINE} --afresh`))];
    expect([one.instance, one.epoch, one.attempt]).toEqual([two.instance, two.epoch, two.attempt]);
    expect([one.resume, two.resume]).toEqual([true, false]);
  });

  test("has nodes dial what was named, or the address whence we come", () => {
    const at = (url: string, loopback: boolean, line = LINE) =>
      makeJob(given(line, { server: { url, loopback } }));
    expect(at("https://plane:50051", false).controlPlane.candidates).toEqual([
      { kind: "url", url: "https://plane:50051" },
    ]);
    expect(at("http://localhost:50051", true).controlPlane.candidates).toEqual([
      { kind: "seen", scheme: "http", port: 50_051 },
    ]);
    expect(at("https://localhost", true).controlPlane.candidates).toEqual([
      { kind: "seen", scheme: "https", port: 443 },
    ]);
    const set = at("http://localhost:1", true, `${LINE} --set ControlPlane=http://x`);
    expect([set.controlPlane.candidates, addressOf(set)]).toEqual([[], null]);
  });
});

describe("needsServer(), needsAgent()", () => {
  const both = (line: string, named = false): [boolean, boolean] => {
    const { request, script } = given(line);
    return [needsServer(request, script, named), needsAgent(request, script)];
  };

  test("ask for what a template uses and nobody said", () => {
    const file = join(folder, "plain.sh");
    writeFileSync(file, "echo {{.Pool}}");
    expect(both(LINE)).toEqual([true, true]);
    expect(both(`${LINE} --set JoinToken=x`)).toEqual([true, true]);
    const set = "--set JoinToken=x --set ControlPlane=http://x --set AgentURL=http://x/a";
    expect(both(`${LINE} ${set}`)).toEqual([false, false]);
    expect(both(`--host h --file ${file}`)).toEqual([false, false]);
    expect(both(`--host h --file ${file}`, true)).toEqual([true, false]);
  });
});

describe("pickAgents()", () => {
  test("takes the named file for its own kind of machine, else those beside the program", async () => {
    const named = await readAgentFile(program("arm", 183));
    if (!named.ok) throw new Error(named.message);
    const picked = await pickAgents(named.value, () => Promise.reject(new Error("no")), null);
    expect(picked).toMatchObject({ ok: true, value: { x64: null, arm64: { url: "" } } });
    program("navarch-node", 62);
    const beside = join(folder, "navarch");
    const own = await pickAgents(null, () => readOwnAgents(beside, "x64"), null);
    const built = { path: join(folder, "navarch-node"), sha256: expect.any(String) };
    expect(own).toMatchObject({ ok: true, value: { x64: built, arm64: null } });
    // A release beside it has both.
    const release = join(folder, "release", VERSION);
    mkdirSync(release, { recursive: true });
    const sum = "0".repeat(64);
    writeFileSync(join(release, "navarch-node-linux-arm64"), "x");
    writeFileSync(join(release, "SHA256SUMS"), `${sum}  navarch-node-linux-arm64\n`);
    const both = await readOwnAgents(beside, "x64");
    expect(both.arm64).toEqual({
      url: "",
      sha256: sum,
      path: join(release, "navarch-node-linux-arm64"),
    });
  });

  test("refuses what is no program for Linux", async () => {
    const script = join(folder, "script");
    writeFileSync(script, "#!/bin/sh\n# a script is none, however long it is\n");
    expect(await readAgentFile(script)).toMatchObject({ ok: false, exit: 2 });
    expect(await readAgentFile(program("mips", 8))).toMatchObject({ ok: false, exit: 2 });
    const gone = await readAgentFile(join(folder, "scrip"));
    expect(gone).toMatchObject({ message: expect.stringContaining(`(did you mean ${script}?)`) });
  });
});
