from httpbin import app as application
