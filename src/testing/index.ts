/** `nwsgi/testing`: runs an application in a unit test, with the real gateway but without a server. */
export { FakeHost } from './fake-host.js';
export type { FakeRequest, FakeResponse } from './fake-host.js';
