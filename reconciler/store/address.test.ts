import { expect, test } from "bun:test";
import { whyNoDatabase } from "./address.ts";
import { isServer } from "./server.ts";

const SERVERS = ["libsql", "http", "https", "ws", "wss"].map((scheme) => `${scheme}://db.example`);
const FILES = ["/var/lib/navarch", "state", "file:/var/lib/navarch.db", "file:///a.db", "http.d"];

test("whyNoDatabase() takes any path, file and server", () => {
  const all = [...SERVERS, ...FILES];
  expect(all.filter((address) => whyNoDatabase(address) !== null)).toEqual([]);
  expect(SERVERS.filter(isServer)).toEqual(SERVERS);
  expect(FILES.filter(isServer)).toEqual([]);
});

test("whyNoDatabase() names the schemes that there are", () => {
  for (const address of ["postgres://db/navarch", "s3://bucket/x?authToken=t", "my-libsql://db"])
    expect(whyNoDatabase(address)).toBe(
      `"${address}": expected a path, ` +
        "or the URL of a libSQL server: libsql, http, https, ws or wss",
    );
});

test("whyNoDatabase() refuses a credential in a URL and does not repeat it", () => {
  const secret = "s3cr3t";
  for (const end of [`/?authToken=${secret}`, `/?tls=0&authtoken=${secret}`])
    for (const server of SERVERS)
      expect(whyNoDatabase(server + end)).toBe(
        "the database's address holds a credential: " +
          "give it in the environment, as NAVARCH_DATABASE_TOKEN",
      );
  expect(whyNoDatabase(`https://me:${secret}@db.example`)).toContain("holds a credential");
  // What only looks like one: a path with an at sign, a file with a question mark.
  expect(whyNoDatabase("https://db.example/a@b")).toBeNull();
  expect(whyNoDatabase("/var/lib/a?authToken=b")).toBeNull();
  expect(whyNoDatabase("file://u@host/a.db")).toBeNull();
});
