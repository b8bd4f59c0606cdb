/** What a control plane says that cannot start: one line of what and why, and the right status. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-start-"));
const taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
afterAll(async () => {
  await taken.stop(true);
  rmSync(folder, { recursive: true });
});

const file = join(folder, "file");
writeFileSync(file, "not a database, not a certificate\n");
const none = join(folder, "none");
let count = 0;

/** Starts with this `server`, in a state folder of its own that holds `files`. */
async function start(
  server: string,
  more: { flags?: string[]; files?: Record<string, string>; state?: string } = {},
) {
  count += 1;
  const state = more.state ?? join(folder, `state-${count}`);
  const config = join(folder, `navarch-${count}.yaml`);
  writeFileSync(config, `server: ${server}\npools: []\nkubernetes: { enabled: false }\n`);
  for (const [name, text] of Object.entries(more.files ?? {})) {
    mkdirSync(state, { recursive: true });
    writeFileSync(join(state, name), text);
  }
  const words = ["control-plane", "--config", config, "--state", state, "--log-format", "text"];
  const ended = await navarch([...words, ...(more.flags ?? [])]);
  return { ...ended, state, all: `${ended.out}${ended.err}` };
}

const AT = "{ address: 127.0.0.1:1 }";

type Case = { line: string; run(): ReturnType<typeof start> };

const tls = (cert: string, key: string) =>
  `{ address: 127.0.0.1:1, tls: { cert_file: ${cert}, key_file: ${key} } }`;

const MISTAKES: Case[] = [
  {
    line: `server.tls.cert_file ${none}: no such file or folder\n`,
    run: () => start(tls(none, file)),
  },
  {
    line: `server.tls.key_file ${none}: no such file or folder\n`,
    run: () => start(tls(file, none)),
  },
  {
    line: `server.tls ${file} with ${file}: the certificate cannot be read: `,
    run: () => start(tls(file, file)),
  },
  {
    line: `server.auth.token_file ${none}: no such file or folder\n`,
    run: () => start(`{ address: 127.0.0.1:1, auth: { token_file: ${none} } }`),
  },
  {
    line: `--state ${file}: is a file, expected a folder\n`,
    run: () => start(AT, { state: file }),
  },
  {
    line: `--state ${join(file, "below")}: is below a file, expected a folder\n`,
    run: () => start(AT, { state: join(file, "below") }),
  },
  {
    line: `server.state_path ${folder}: is a folder, expected a file\n`,
    run: () => start(`{ address: 127.0.0.1:1, state_path: ${folder} }`),
  },
  {
    line: `server.state_path ${join(file, "x.db")}: is below a file, expected a folder\n`,
    run: () => start(`{ address: 127.0.0.1:1, state_path: ${join(file, "x.db")} }`),
  },
  {
    line: 'server.state_path "ftp://h/x": expected a path, or the URL of a libSQL server',
    run: () => start(`{ address: 127.0.0.1:1, state_path: "ftp://h/x" }`),
  },
];

/** `STATE` stands for the state folder. */
const REFUSALS: Case[] = [
  {
    line: `cannot listen at 127.0.0.1:${taken.port} (server.address): something else listens there`,
    run: () => start(`{ address: "127.0.0.1:${taken.port}" }`),
  },
  {
    line: "cannot listen at 192.0.2.1:5000 (--addr): this machine has no such address",
    run: () => start(AT, { flags: ["--addr", "192.0.2.1:5000"] }),
  },
  {
    line: "database STATE/navarch.db: file is not a database",
    run: () => start(AT, { files: { "navarch.db": "no database".repeat(1_000) } }),
  },
  {
    line: "identity STATE/identity.json: is not JSON",
    run: () => start(AT, { files: { "identity.json": "{" } }),
  },
  {
    line: "--state /proc/navarch: cannot be made: ",
    run: () => start(AT, { state: "/proc/navarch" }),
  },
  {
    line: "database of 127.0.0.1:1: connection refused",
    run: () => start(`{ address: 127.0.0.1:1, state_path: "http://127.0.0.1:1" }`),
  },
  {
    // It listens already by then, and must not go on doing so.
    line: `--test-port-file: ${file}: is a file, expected a folder`,
    run: () =>
      start(AT, { flags: ["--addr", "127.0.0.1:0", "--test-port-file", join(file, "port")] }),
  },
];

describe("navarch control-plane that cannot start", () => {
  test.each(MISTAKES)("ends with 2 and a line of the mistake (%#)", async ({ line, run }) => {
    const { code, err, all } = await run();
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(line) });
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    expect(all).not.toMatch(/\.ts:\d/);
  });

  test.each(REFUSALS)("ends with 1 and a line of the log (%#)", async ({ line, run }) => {
    const { code, out, err, all, state } = await run();
    expect({ code, err }).toEqual({ code: 1, err: "" });
    expect(out).toContain(`error cannot start {"error":"${line.replace("STATE", state)}`);
    expect(all).not.toMatch(/\.ts:\d/);
  });

  test("refuses an address that can be none, from a flag and from the file", async () => {
    const [flag, written, words] = await Promise.all([
      start(AT, { flags: ["--addr", "127.0.0.1:99999"] }),
      start('{ address: "127.0.0.1:99999" }'),
      start(AT, { flags: ["--addr", "1.2.3.400:50051"] }),
    ]);
    const large = "port 99999 is too large (1 to 65535)";
    expect(flag).toMatchObject({ code: 2, err: `--addr: ${large}\n` });
    expect(written.code).toBe(2);
    expect(written.err).toMatch(/^\S+:1:20: server\.address: /);
    expect(written.err).toEndWith(`: ${large}\n`);
    expect(words).toMatchObject({ code: 2, err: "--addr: 1.2.3.400 is not an IPv4 address\n" });
  });
});
