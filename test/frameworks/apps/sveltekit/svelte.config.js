import adapter from '@sveltejs/adapter-node';

const { BASE_PATH: base = '', BUILD: out = 'build' } = process.env;

export default { kit: { adapter: adapter({ out }), paths: { base } } };
