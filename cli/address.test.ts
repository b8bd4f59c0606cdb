import { describe, expect, test } from "bun:test";
import { parseServer } from "./address.ts";

describe("parseServer()", () => {
  test.each([
    ["http://localhost:50051", "http://localhost:50051", true, false],
    ["localhost", "http://localhost:50051", true, false],
    ["localhost:80", "http://localhost", true, false],
    [":8080", "http://localhost:8080", true, false],
    ["127.0.0.1:50051", "http://127.0.0.1:50051", true, false],
    ["navarch.localhost", "http://navarch.localhost:50051", true, false],
    ["127.9.9.9", "http://127.9.9.9:50051", true, false],
    ["[::1]:7", "http://[::1]:7", true, false],
    ["::1", "http://[::1]:50051", true, false],
    ["nav.example.net:443", "http://nav.example.net:443", false, false],
    ["https://nav.example.net", "https://nav.example.net", false, true],
    ["https://nav.example.net/gpu/", "https://nav.example.net/gpu", false, true],
    [" HTTP://Nav.Example.Net ", "http://nav.example.net", false, false],
    ["127.evil.example", "http://127.evil.example:50051", false, false],
  ])("reads %p", (text, url, loopback, secure) => {
    expect(parseServer(text)).toEqual({ ok: true, url, loopback, secure });
  });

  test.each(["", " ", "a b", "ftp://x", "http://", "x:99999", "http://u:p@x", "x?y"])(
    "refuses %p",
    (text) => {
      expect(parseServer(text)).toMatchObject({ ok: false, exit: 2 });
    },
  );
});
