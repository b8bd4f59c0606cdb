import { expect, test } from "bun:test";
import { parseListen } from "./address.ts";

test.each([
  ["127.0.0.1:65536", "port 65536 is too large", "1 to 65535"],
  ["127.0.0.1:99999", "port 99999 is too large", "1 to 65535"],
  ["50051", '"50051" is not an address with a port', 'write ":50051"'],
  ["", '"" is not an address with a port', 'write for example "0.0.0.0:50051"'],
  ["node:http", '"node:http" is not an address with a port', 'write for example "0.0.0.0:50051"'],
  ["[]:1", '"[]:1" is not an address with a port', 'write for example "0.0.0.0:50051"'],
  ["[zz]:1", "[zz] is not an IPv6 address", null],
  ["a b:1", '"a b" is not a host', null],
  ["1.2.3.400:1", "1.2.3.400 is not an IPv4 address", null],
  ["1.2.3:1", "1.2.3 is not an IPv4 address", null],
  ["127:1", "127 is not an IPv4 address", null],
])("parseListen() refuses %p", (text, message, hint) => {
  expect(parseListen(text)).toEqual({ ok: false, message, hint });
});

test.each([
  [":65535", "", 65_535],
  ["0.0.0.0:1", "0.0.0.0", 1],
  ["[::1]:50051", "::1", 50_051],
  ["10.in-addr.example:1", "10.in-addr.example", 1],
])("parseListen() accepts %p", (text, host, port) => {
  expect(parseListen(text)).toEqual({ ok: true, value: { host, port } });
});
