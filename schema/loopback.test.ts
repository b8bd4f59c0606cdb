import { expect, test } from "bun:test";
import { isLoopback } from "./loopback.ts";

test.each([
  ["127.0.0.1", true],
  ["127.200.3.4", true],
  ["LOCALHOST", true],
  ["[::1]", true],
  ["::1", true],
  ["", false],
  ["0.0.0.0", false],
  ["::", false],
  ["127.example.com", false],
  ["127.0.0.1.example.com", false],
  ["localhost.example.com", false],
  ["10.0.0.1", false],
])("isLoopback(%j) is %p", (host, is) => {
  expect(isLoopback(host)).toBe(is);
});
