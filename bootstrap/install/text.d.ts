/** Shell scripts are imported as text and so embedded in the binary. */
declare module "*.sh" {
  const text: string;
  export default text;
}
