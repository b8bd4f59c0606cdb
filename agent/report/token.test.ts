import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTokens, type TokenSource } from "./token.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const HTTP = "http://cp:50051";
const HTTPS = "https://cp:50051";
const OTHER = "https://navarch.example";
const OWN = "nvn.bjE.7.mac7";
const FIRST = "nvn.bjE.mac0";

/** A state folder whose credential was given by `server`, and a first one from bootstrap. */
function folderOf(server: string): string {
  const folder = mkdtempSync(join(tmpdir(), "navarch-token-"));
  folders.push(folder);
  writeFileSync(join(folder, "first"), `${FIRST}\n`);
  open(folder, server).adopt(OWN);
  return folder;
}

function open(folder: string, server: string, nodeId = "n1"): TokenSource {
  return openTokens({
    nodeId,
    server,
    directory: folder,
    flag: undefined,
    file: undefined,
    environment: undefined,
    defaultFile: join(folder, "first"),
  });
}

/** Everything that a server would be shown that takes nothing. */
function line(tokens: TokenSource): string[] {
  const shown: string[] = [];
  for (let i = 0; i < 4; i++) {
    const value = tokens.current()?.value ?? "";
    shown.push(value);
    tokens.rejected(value);
  }
  return [...new Set(shown)];
}

test("current() of another address comes last, and is the first once it was accepted", () => {
  for (const [before, after] of [
    [HTTP, HTTPS],
    [HTTP, "http://10.0.0.1:50051"],
    [HTTPS, OTHER],
  ] as const) {
    const folder = folderOf(before);
    const tokens = open(folder, after);
    expect([tokens.hasOwn(), tokens.current()?.value]).toEqual([false, FIRST]);
    tokens.rejected(FIRST);
    expect(tokens.current()?.value).toBe(OWN);
    tokens.accepted(OWN);
    expect([tokens.hasOwn(), tokens.current()?.value]).toEqual([true, OWN]);
    const stored = JSON.parse(readFileSync(join(folder, "credential.json"), "utf8")) as object;
    expect(stored).toEqual({ node_id: "n1", server: after, credential: OWN });
    expect(open(folder, after).current()?.value).toBe(OWN);
  }
});

test("current() never shows over an open way what came over a proven one", () => {
  const folder = folderOf(HTTPS);
  for (const server of [HTTP, "http://localhost:50051"]) {
    const tokens = open(folder, server);
    expect(line(tokens)).toEqual([FIRST]);
    tokens.accepted(FIRST);
    expect(tokens.hasOwn()).toBe(false);
  }
  // Nothing was lost by it: back at its own address it is the first.
  expect(open(folder, HTTPS).current()?.value).toBe(OWN);
  expect(line(open(folder, OTHER))).toEqual([FIRST, OWN]);
});

test("accepted() of another source leaves what is kept for another address as it is", () => {
  const folder = folderOf(HTTP);
  const tokens = open(folder, HTTPS);
  tokens.accepted(FIRST);
  expect([tokens.hasOwn(), tokens.current()?.value]).toEqual([false, FIRST]);
  expect(open(folder, HTTP).current()?.value).toBe(OWN);
  // What the new address gives takes its place.
  tokens.adopt("nvn.bjE.8.mac8");
  expect(line(tokens)).toEqual(["nvn.bjE.8.mac8", FIRST]);
});

test("accepted() that cannot be kept is used all the same, and kept when it can be", () => {
  const folder = folderOf(HTTP);
  const tokens = open(folder, HTTPS);
  tokens.rejected(FIRST);
  // Whoever runs this may be root, whom no mode stops: a folder in the way of the file does.
  const blocked = join(folder, "credential.json.new");
  mkdirSync(join(blocked, "x"), { recursive: true });
  tokens.accepted(OWN);
  expect([tokens.hasOwn(), tokens.current()?.value]).toEqual([false, OWN]);
  rmSync(blocked, { recursive: true });
  tokens.accepted(OWN);
  expect(tokens.hasOwn()).toBe(true);
  expect(open(folder, HTTPS).current()?.value).toBe(OWN);
});

test("current() shows no other node's credential, and nothing of a broken file", () => {
  const folder = folderOf(HTTP);
  expect(line(open(folder, HTTPS, "n2"))).toEqual([FIRST]);
  for (const text of ["", "{", "null", '{"node_id":"n1","server":1,"credential":"x"}']) {
    writeFileSync(join(folder, "credential.json"), text);
    expect(line(open(folder, HTTPS))).toEqual([FIRST]);
  }
});

test("current() passes over what cannot stand in a header", () => {
  const folder = folderOf(HTTP);
  rmSync(join(folder, "credential.json"));
  const given = join(folder, "given");
  const tokens = openTokens({
    nodeId: "n1",
    server: HTTP,
    directory: folder,
    flag: undefined,
    file: given,
    environment: undefined,
    defaultFile: join(folder, "first"),
  });
  for (const torn of ["one\ntwo", "\0\0\0\0", "t\u00f6ken"]) {
    writeFileSync(given, torn);
    expect(tokens.current()?.value).toBe(FIRST);
  }
  writeFileSync(given, "nva.good");
  expect(tokens.current()?.value).toBe("nva.good");
});

test("adopt() keeps the credential before until the new one was accepted", () => {
  const folder = folderOf(HTTP);
  rmSync(join(folder, "first"));
  const tokens = open(folder, HTTP);
  tokens.accepted(OWN);
  // Given by somebody in between, twice; the one at the address knows neither.
  tokens.adopt("nvn.bjE.98.forged");
  tokens.adopt("nvn.bjE.99.forged");
  expect(line(tokens)).toEqual(["nvn.bjE.99.forged", OWN]);
  const next = open(folder, HTTP);
  expect(line(next)).toEqual(["nvn.bjE.99.forged", OWN]);
  next.accepted(OWN);
  expect([line(next), line(open(folder, HTTP))]).toEqual([[OWN], [OWN]]);
  next.adopt("nvn.bjE.8.mac8");
  next.accepted("nvn.bjE.8.mac8");
  expect([line(next), line(open(folder, HTTP))]).toEqual([["nvn.bjE.8.mac8"], ["nvn.bjE.8.mac8"]]);
});

test("adopt() of what cannot be kept leaves the one before as it was", () => {
  const folder = folderOf(HTTP);
  const tokens = open(folder, HTTP);
  mkdirSync(join(folder, "credential.json.new", "x"), { recursive: true });
  expect(tokens.adopt("nvn.bjE.8.mac8")).not.toBeNull();
  expect(line(tokens)).toEqual([OWN, FIRST]);
});
