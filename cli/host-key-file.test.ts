import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeKey, publicBlob } from "../test/fixture/ssh/peer.ts";
import { HostKeyFile } from "./host-key-file.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-hosts-"));
afterAll(() => rmSync(folder, { recursive: true }));
const key = publicBlob(makeKey().private);
const other = publicBlob(makeKey().private);

function open(path: string | null): { file: HostKeyFile; told: string[] } {
  const told: string[] = [];
  return { file: new HostKeyFile(path, folder, (line) => told.push(line)), told };
}

describe("HostKeyFile", () => {
  test("keeps the first key of a host and port, for nobody else to read or change", () => {
    const { file, told } = open(null);
    expect(file.path).toBe(join(folder, ".local/state/navarch/known_hosts"));
    const first = file.check("GPU-7", 2222);
    expect(first).toEqual({ ok: true, value: { kind: "first-use" } });
    if (first.ok) file.accept("GPU-7", 2222, first.value, key);
    expect(told.join("")).toMatch(
      /^host key of \[gpu-7\]:2222: ssh-ed25519 SHA256:\S{43}, first use, stored in \S+known_hosts\n$/,
    );
    expect(readFileSync(file.path, "utf8")).toBe(`[gpu-7]:2222 ssh-ed25519 ${key}\n`);
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
    expect(file.check("gpu-7", 2222)).toEqual({ ok: true, value: { kind: "pinned", keys: [key] } });
    expect(file.check("gpu-7", 22)).toEqual({ ok: true, value: { kind: "first-use" } });
    const again = file.check("gpu-7", 2222);
    if (again.ok) file.accept("gpu-7", 2222, again.value, key);
    expect(told[1]).toContain(`, as in ${file.path}\n`);
    expect(readFileSync(file.path, "utf8").split("\n")).toHaveLength(2);
  });

  test("adds a line of its own to a file whose last line is not ended", () => {
    const path = join(folder, "unended");
    writeFileSync(path, `a ssh-ed25519 ${other}`);
    open(path).file.accept("b", 22, { kind: "first-use" }, key);
    expect(readFileSync(path, "utf8")).toBe(`a ssh-ed25519 ${other}\nb ssh-ed25519 ${key}\n`);
  });

  test("never takes the first key of a machine whose key is revoked", () => {
    const path = join(folder, "revoked");
    writeFileSync(path, `@revoked b* ssh-ed25519 ${key}\n`);
    expect(open(path).file.check("b", 22)).toMatchObject({ ok: false, exit: 6 });
    expect(open(path).file.check("c", 22).ok).toBe(true);
  });

  test("says what keeps it from being read or written", () => {
    expect(open(folder).file.check("b", 22)).toMatchObject({
      exit: 2,
      message: `--known-hosts ${folder}: is a folder`,
    });
    const below = join(folder, "unended", "known_hosts");
    const accept = () => open(below).file.accept("b", 22, { kind: "first-use" }, key);
    expect(accept).toThrow(/^cannot store the host key: /);
  });
});
