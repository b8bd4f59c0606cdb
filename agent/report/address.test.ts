import { expect, test } from "bun:test";
import { parseAddress } from "./address.ts";

const GOOD: [string, string][] = [
  ["navarch-control-plane:50051", "http://navarch-control-plane:50051"],
  ["navarch-control-plane", "http://navarch-control-plane:50051"],
  ["10.0.0.1", "http://10.0.0.1:50051"],
  ["http://localhost:50051", "http://localhost:50051"],
  ["http://localhost:50051/", "http://localhost:50051"],
  ["https://navarch.example", "https://navarch.example"],
  ["HTTPS://navarch.example:8443", "https://navarch.example:8443"],
  ["wss://navarch.example", "https://navarch.example"],
  ["https://navarch.example/fleet/", "https://navarch.example/fleet"],
  ["[::1]:50051", "http://[::1]:50051"],
  ["[fe80::1]", "http://[fe80::1]:50051"],
  ["::1", "http://[::1]:50051"],
  ["2001:db8::5", "http://[2001:db8::5]:50051"],
  ["https://[2001:db8::5]", "https://[2001:db8::5]"],
  ["svc_1.ns.svc.cluster.local:80", "http://svc_1.ns.svc.cluster.local:80"],
];

test.each(GOOD)("parseAddress() reads %s", (text, base) => {
  expect(parseAddress(text, "--server")).toEqual({ ok: true, base });
});

const BAD = [
  "",
  " ",
  "ftp://host",
  "host:port",
  "host:0",
  "host:65536",
  "http://",
  "ho st",
  "http://h?x=1",
  "host/path",
  "-host",
  "[::1",
  "http://[zz]:1",
];

test.each(BAD)("parseAddress() refuses %p and names the flag", (text) => {
  const answer = parseAddress(text, "--server");
  expect(answer.ok).toBe(false);
  if (!answer.ok) expect(answer.message).toStartWith("--server ");
});

test("parseAddress() never repeats a password", () => {
  const answer = parseAddress("http://me:hunter2@host", "--server");
  expect(JSON.stringify(answer)).not.toContain("hunter2");
  expect(answer.ok).toBe(false);
});
