/** What an answer proves, whatever its HTTP status says. */
import { expect, test } from "bun:test";
import { formOf, readReply } from "./api.ts";

const error = (code: string) =>
  `<Response><Errors><Error><Code>${code}</Code><Message>m</Message></Error></Errors></Response>`;
const other = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>";

test.each([
  [200, "<RunInstancesResponse><a/></RunInstancesResponse>", null],
  [500, error("InsufficientInstanceCapacity"), "capacity"],
  [200, error("VcpuLimitExceeded"), "quota"],
  [400, other, "rate_limit"],
  [500, "<RunInstancesResponse><a/></RunInstancesResponse>", "unknown"],
  [200, "<DescribeInstancesResponse/>", "unknown"],
  [200, "", "unknown"],
  [403, "<html><body>Forbidden</body></html>", "unknown"],
  [401, "", "unknown"],
  [429, "slow down", "unknown"],
  [503, error(""), "unknown"],
])("readReply() of HTTP %i %s is %p", (status, text, expected) => {
  const answer = readReply("RunInstances", status, text);
  expect(answer.kind === "failed" ? answer.class : null).toBe(expected as never);
});

test("readReply() cuts what it repeats, and names what to allow", () => {
  const long = error("UnauthorizedOperation").replace(">m<", `>${"x".repeat(5_000)}<`);
  const answer = readReply("RunInstances", 403, long);
  const message = answer.kind === "failed" ? answer.message : "";
  expect(message).toContain("; allow ec2:RunInstances in the IAM policy");
  expect(message.length).toBeLessThan(400);
});

test("formOf() counts lists from 1 and leaves out null", () => {
  const form = formOf({
    A: [{ B: "x y" }, { B: "ü" }],
    C: null,
    D: true,
    E: 0,
    F: [],
    G: { H: null },
  });
  expect(form).toBe("A.1.B=x+y&A.2.B=%C3%BC&D=true&E=0");
});
