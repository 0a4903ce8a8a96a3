export { open, request, valuesOf, type HttpResponse, type RequestOptions } from './client.js';
export { type Mpm } from './configuration.js';
export { Http2Client, type Http2Response } from './http2-client.js';
export { freePorts, isListening } from './ports.js';
export * from './processes.js';
export { head, RawClient, type RawResponse } from './raw-client.js';
export { HttpdServer, projectRoot, sanitized, type Host, type Options } from './server.js';
export { configtest, describeEachMpm, mpms, useServer, withServer } from './use.js';
export { sleep, waitFor, within } from './wait.js';
