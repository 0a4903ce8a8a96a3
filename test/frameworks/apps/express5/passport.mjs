import passport from 'passport';
import { Strategy } from 'passport-local';

const users = [{ id: 7, name: 'ada', password: 'lovelace' }];

passport.use(
  new Strategy({ usernameField: 'name' }, (name, password, done) => {
    const user = users.find((candidate) => candidate.name === name && candidate.password === password);
    done(null, user ?? false);
  }),
);
passport.serializeUser((user, done) => done(null, user.id));
passport.deserializeUser((id, done) => {
  const user = users.find((candidate) => candidate.id === id);
  done(null, user ? { id: user.id, name: user.name } : false);
});

export default passport;
