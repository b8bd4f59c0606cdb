import { expect, test } from "bun:test";
import { namesOf, whyForeign } from "./anonymous.ts";

const NAMES = namesOf(["gpu-head.lan:50051", "https://navarch.corp.example/", null, "", "0.0.0.0"]);
const judge = (given: Record<string, string>) => whyForeign(new Headers(given), NAMES);

test.each([
  { host: "127.0.0.1:50051" },
  { host: "[::1]:50051" },
  { host: "10.0.0.7" },
  { host: "localhost:50051" },
  { host: "navarch:50051" },
  { host: "navarch.navarch.svc:50051" },
  { host: "GPU-head.lan:50051" },
  { host: "navarch.corp.example." },
  { host: "localhost:50051", origin: "http://localhost:50051" },
  { host: "localhost:50051", "sec-fetch-site": "none" },
])("whyForeign() lets %j in", (headers) => {
  expect(judge(headers)).toBeNull();
});

test.each([
  // A name of the attacker's that resolves to this machine.
  { host: "evil.example:50051" },
  { host: "evil.example:50051", origin: "http://evil.example:50051" },
  { host: "127.0.0.1.evil.example" },
  { host: "xlocalhost.example" },
  {},
  // A page of another site that posts to this address.
  { host: "127.0.0.1:50051", origin: "http://evil.example" },
  { host: "127.0.0.1:50051", origin: "null" },
  { host: "127.0.0.1:50051", origin: "http://127.0.0.1:8080" },
  { host: "127.0.0.1:50051", "sec-fetch-site": "cross-site" },
  { host: "127.0.0.1:50051", "sec-fetch-site": "same-site" },
])("whyForeign() refuses %j", (headers) => {
  expect(judge(headers)).toContain("without a token");
});
